"""A course and reproducibility kit for CycleGAN with a semantic consistency loss.

Conventions, stated once:

- *images* are float32 (B, 3, H, W) in [-1, 1]; on disk and in numpy they are uint8 RGB (H, W, 3);
- *labels* are int64 (B, H, W), 0..18 or 255 (`semcg.labels.IGNORE`); on disk they are 8-bit gray PNG;
- *scores* are float (B, 19, h, w), before any softmax;
- fractions are 0..1; percent appears only on axes;
- names are the paper's: `G_st, G_ts, D_s, D_t, Sem_s, Sem_t, lambda_c, lambda_s`; `x_st` is an image taken from
  the source domain S to the target domain T, and `x_sts` is that image brought back.

The paper: Runze Fan, "Enhancing Semantic Consistency in Image-to-Image Translation with an Improved CycleGAN
Framework". "Section" and "Eq." in docstrings refer to it unless another source is named.
"""

__version__ = "0.1.0"
