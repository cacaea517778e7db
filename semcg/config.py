"""Every number once, frozen and validated; a profile is its difference from the paper.

The defaults of `Config` are the paper's experiment. A field says where its number comes from ("2.3" is a section of
the paper, "ours" is what the paper leaves open) and which stages it can change the result of, so that a stage is
repeated exactly when one of its own numbers differs.
"""

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

STAGES = ("data", "segmenter", "judge", "translation", "downstream", "evaluation")
"""What a field can change the result of. "translation" is the CycleGAN, with or without the semantic loss."""


def _number(value: Any) -> Any:
    if isinstance(value, bool):  # else taken for 1 and 0
        raise ValueError("input should be a number, not true or false")
    return value


Int = Annotated[int, BeforeValidator(_number)]
Float = Annotated[float, BeforeValidator(_number)]
Seed = Annotated[Int, Field(ge=0, lt=2**31)]
Natural = Annotated[Int, Field(ge=0, lt=2**31)]
Whole = Annotated[Int, Field(ge=1, lt=2**31)]
Frames = Annotated[Int, Field(ge=2, lt=2**31)]
Channels = Annotated[Int, Field(ge=4)]
Size = tuple[Whole, Whole]
Fraction = Annotated[Float, Field(ge=0, le=1)]
Decay = Annotated[Float, Field(ge=0, lt=1)]
Rate = Annotated[Float, Field(gt=0, le=1)]
Width = Annotated[Float, Field(gt=0, le=2)]
Weight = Annotated[Float, Field(ge=0, le=1e4)]

_TRAININGS = "segmenter judge translation downstream"
_NONE = ""  # changes no result


def _field(default: Any, stages: str, words: str, *, source: str = "ours", **limits: Any) -> Any:
    """Return a field; `stages` names, separated by blanks, what must be made again when its number changes."""
    extra = {"source": source, "stages": stages.split()}
    return Field(default, description=words, json_schema_extra=extra, **limits)


class Config(BaseModel):
    """The numbers of one run. Frozen; unknown names and impossible values raise `pydantic.ValidationError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    profile: str = _field("paper", _NONE, "name of the set of differences this config started from")
    data: str = _field("world", _NONE, "the synthetic world, or a name in data/ or a path", min_length=1)
    seed: Seed = _field(0, "translation downstream", "initial weights, order, augmentation, pool")
    world_seed: Seed = _field(0, "data", "the drawn scenes")
    segmenter_seed: Seed = _field(0, "segmenter judge", "Sem_s, Sem_t and the judge")
    instruments: Literal["shipped", "trained"] = _field(
        "shipped",
        _NONE,
        "Sem_s, Sem_t, judges and plate reader: those of results/instruments where they fit, or trained here",
    )
    sem_s: str = _field("", _NONE, "file or run folder of a trained Sem_s, from the repository's folder")
    sem_t: str = _field("", _NONE, "the same of Sem_t")
    judge: str = _field("", _NONE, "the same of the judge; never a network of the loss")
    test_streets: Literal["course", "report"] = _field(
        "course", "evaluation", "synthetic test frames to score; the report has separate ones"
    )

    size: Size = _field((1024, 1024), "data", "frames as (H, W), bilinear", source="2.1")
    crop: Int = _field(768, _TRAININGS, "side of the random training crop", source="2.1", ge=32)
    flip: Fraction = _field(0.5, _TRAININGS, "chance of a flip", source="2.1")
    mean: Literal[0.5] = _field(
        0.5, _NONE, "subtracted from pixels in 0..1; G ends in tanh, so no other will do", source="2.1"
    )
    std: Literal[0.5] = _field(0.5, _NONE, "divides them afterwards, to [-1, 1]", source="2.1")

    train_scenes: Frames = _field(600, "data", "drawn training scenes a domain")
    val_scenes: Frames = _field(120, "data", "drawn validation scenes a domain")
    test_scenes: Frames = _field(120, "data", "drawn test scenes a domain")
    judge_scenes: Frames = _field(600, "data", "drawn scenes that only the judge trains on, both layouts")
    style_strength: Fraction = _field(1.0, "data", "0 draws the target in the source's style")

    segmenter: Literal["drn26", "deeplabv3", "segnet"] = _field(
        "drn26", "segmenter", "Sem_s and Sem_t", source="2.2.2"
    )
    segmenter_width: Width = _field(1.0, "segmenter", "share of the published channels")
    segmenter_stride: Literal[4, 8] = _field(8, "segmenter", "pixels of the frame per score")
    segmenter_start: Literal["imagenet", "random"] = _field("imagenet", "segmenter", "initial weights")
    segmenter_optimizer: Literal["sgd", "adamw"] = _field("sgd", "segmenter", "SGD has momentum 0.9")
    segmenter_lr: Rate = _field(1e-3, "segmenter", "learning rate", source="2.3")
    segmenter_decay: Fraction = _field(5e-4, "segmenter", "weight decay")
    segmenter_batch: Whole = _field(2, "segmenter", "crops per step", source="2.3")
    segmenter_steps: Whole = _field(100_000, "segmenter", "steps")
    segmenter_schedule: Literal["constant", "poly"] = _field(
        "constant", "segmenter", "poly: 50 steps of warm-up, then (1 - n/steps)^0.9"
    )
    segmenter_weights: bool = _field(False, "segmenter", "weight classes by 1 / sqrt(frequency)")
    segmenter_color: bool = _field(False, "segmenter", "color augmentation")

    judge_width: Channels = _field(16, "judge", "channels of the judge's U-Net")
    second_judge_width: Width = _field(1.0, "judge", "share of the channels of the second judge, a SegNet")
    judge_steps: Whole = _field(20_000, "judge", "steps")
    judge_batch: Whole = _field(6, "judge downstream", "crops per step")
    judge_lr: Rate = _field(2e-3, "judge downstream", "learning rate (AdamW, poly)")
    judge_decay: Fraction = _field(5e-4, "judge downstream", "weight decay")
    judge_color: bool = _field(True, "judge downstream", "color augmentation")
    downstream_width: Channels = _field(12, "downstream", "channels of the U-Net trained on translations")
    downstream_steps: Whole = _field(10_000, "downstream", "steps")
    downstream_frames: Frames = _field(400, "downstream", "translated training frames")

    generator: Literal["unet", "resnet9", "recolor"] = _field(
        "unet", "translation", "G_st and G_ts", source="2.2.1"
    )
    generator_width: Channels = _field(64, "translation", "channels of the first layer")
    generator_depth: Int = _field(
        8, "translation", "down-samplings of the U-Net, and of recolor's", ge=2, le=10
    )
    generator_skip: Literal["half", "full"] = _field("half", "translation", "finest skip of the U-Net")
    generator_grain: Fraction = _field(
        0.25, "translation", "largest residual that recolor adds to its colors"
    )
    generator_ema: Decay = _field(
        0.99, "translation", "decay of the moving average of the generators' weights"
    )
    generator_weights: Literal["raw", "ema"] = _field(
        "raw", "downstream evaluation", "which weights translate: the last, or their moving average"
    )
    guided: Literal["", "own", "another"] = _field(
        "",
        "downstream evaluation",
        "own: translate by the generator's local colors alone; another: by those of another street, a control",
    )
    discriminator_width: Channels = _field(
        64, "translation", "channels of the first layer; patches are 70 x 70"
    )
    gan_loss: Literal["log", "lsgan"] = _field(
        "log", "translation", "Eqs. 1-2; log is non-saturating", source="2.4"
    )
    lambda_c: Weight = _field(10.0, "translation", "weight of the cycle consistency loss", source="2.3")
    lambda_s: Weight = _field(1.0, "translation", "weight of the semantic consistency loss", source="2.3")
    semantic_loss: Literal[
        "scores_l2", "scores_norm", "softmax_l2", "ce_pseudo", "ce_labels", "kl", "scores_in"
    ] = _field("scores_l2", "translation", "reading of Eq. 4", source="2.2.2")
    one_segmenter: bool = _field(False, "translation", "Sem_s on both sides of Eq. 4; the paper has two")
    identity: Weight = _field(0.0, "translation", "weight of the identity loss; Eq. 5 has none")
    lr: Rate = _field(2e-4, "translation", "learning rate of G and D", source="2.3")
    betas: tuple[Decay, Decay] = _field((0.5, 0.999), "translation", "Adam")
    batch: Whole = _field(1, "translation", "crops of each domain per step", source="2.3")
    pool: Natural = _field(50, "translation", "translations that D is shown again")
    target_layout: Literal["own", "source"] = _field(
        "own", "translation", "source: the drawn target streets are built like the source's (a control)"
    )
    leaf_split: bool = _field(True, "translation", "one loss after the other: equal gradients in less memory")
    init_std: Rate = _field(0.02, "translation", "weights start as N(0, std)")
    epochs: Whole = _field(20, "translation", "passes of the larger domain, half of them with a falling rate")
    steps: Natural = _field(0, "translation", "steps; 0 means `epochs` passes")

    precision: Literal["fp32", "bf16", "auto"] = _field(
        "fp32", _TRAININGS, "auto: bf16 where the processor has instructions for it"
    )
    save_every: Whole = _field(1000, _NONE, "steps between saved training states")
    keep_every: Natural = _field(
        0, _NONE, "steps between kept generators, sheets of frames and rows of validation.csv; 0: none"
    )

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        height, width = self.size
        if self.crop > min(height, width):
            raise ValueError(
                f"crop = {self.crop}: larger than the frames, size = {self.size}; allowed: 32..{min(height, width)}"
            )
        multiple = 4 if self.generator == "resnet9" else 2**self.generator_depth
        if self.crop % multiple:
            raise ValueError(f"crop = {self.crop}: the generator needs a multiple of {multiple}")
        if self.generator == "recolor" and self.generator_depth < 3:
            raise ValueError(f"generator_depth = {self.generator_depth}: recolor needs 3 or more")
        return self

    def part(self, *stages: str) -> dict[str, Any]:
        """Return the fields that can change the result of any of `stages`, JSON-able, by name."""
        if unknown := set(stages) - set(STAGES):
            raise ValueError(f"unknown stage {sorted(unknown)}; there are {', '.join(STAGES)}")
        values = self.model_dump(mode="json")
        return {
            name: values[name]
            for name, field in type(self).model_fields.items()
            if set(stages) & set(field.json_schema_extra["stages"])
        }

    def changed(self, parameters: Mapping[str, Any]) -> "Config":
        """Return the config with those `parameters` of a notebook that are fields of it, read as by `from_parameters`."""
        return from_parameters(fields(parameters), self.model_dump())

    def translation_steps(self, epoch: int) -> int:
        """Return the steps of the CycleGAN: `steps`, or `epochs` passes of `epoch` frames in batches of `batch`."""
        return self.steps or self.epochs * -(-epoch // self.batch)


_DRAWN = {  # what every profile on the synthetic world shares
    "segmenter_start": "random",
    "segmenter_optimizer": "adamw",
    "segmenter_lr": 2e-3,
    "segmenter_batch": 6,
    "segmenter_schedule": "poly",
    "segmenter_weights": True,
    "segmenter_color": True,
    "generator_skip": "full",
    "generator_weights": "ema",
}

PROFILES: dict[str, dict[str, Any]] = {
    "paper": {},
    "gpu": _DRAWN
    | {
        "size": (256, 512),
        "crop": 256,
        "train_scenes": 2000,
        "judge_scenes": 2000,
        "second_judge_width": 0.5,
        "segmenter_steps": 4000,
        "judge_steps": 4000,
        "downstream_steps": 2000,
        "downstream_frames": 2000,
        "steps": 10_000,
        "precision": "bf16",
    },
    "mini": _DRAWN
    | {
        "size": (128, 256),
        "crop": 128,
        "segmenter_width": 0.125,
        "segmenter_stride": 4,
        "segmenter_lr": 5e-3,
        "segmenter_batch": 3,
        "segmenter_steps": 1600,
        "second_judge_width": 0.125,
        "judge_steps": 3000,
        "downstream_steps": 300,
        "generator_width": 16,
        "generator_depth": 5,
        "discriminator_width": 32,
        "steps": 1000,
        "precision": "auto",
        "save_every": 100,
    },
    "smoke": _DRAWN
    | {
        "size": (64, 128),
        "crop": 64,
        "train_scenes": 16,
        "val_scenes": 8,
        "test_scenes": 8,
        "judge_scenes": 16,
        "segmenter_width": 0.125,
        "segmenter_stride": 4,
        "segmenter_batch": 2,
        "segmenter_steps": 10,
        "second_judge_width": 0.125,
        "judge_steps": 10,
        "judge_batch": 2,
        "downstream_steps": 5,
        "downstream_frames": 16,
        "generator_width": 8,
        "generator_depth": 4,
        "discriminator_width": 8,
        "steps": 4,
        "save_every": 2,
    },
}
"""Profile -> what it changes against the paper. `gpu`, `mini` and `smoke` run on the synthetic world."""


def make(profile: str = "", **changes: Any) -> Config:
    """Return the config of a profile with some fields changed.

    Parameters
    ----------
    profile : str
        A key of `PROFILES`; "" means $SEMCG_PROFILE, and without that "mini".
    **changes
        Fields of `Config`.

    Raises
    ------
    ValueError
        On an unknown profile, an unknown field or an impossible value; the message names the field, the value
        and what is allowed.
    """
    profile = profile or os.environ.get("SEMCG_PROFILE", "") or "mini"
    if profile not in PROFILES:
        raise ValueError(f"profile = {profile!r}: unknown; allowed: {', '.join(PROFILES)}")
    try:
        return Config(**PROFILES[profile] | {"profile": profile} | changes)
    except ValidationError as error:
        raise ValueError("\n".join(_readable(e) for e in error.errors())) from None


def from_parameters(parameters: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Config:
    """Return the config that the parameters of a notebook make.

    Parameters
    ----------
    parameters : mapping
        Fields of `Config`. "", 0 steps and a batch of 0 leave the number to the settings or the profile.
    settings : mapping, optional
        Fields whose values all count, 0 steps too. A parameter comes before a setting of the same name.

    Raises
    ------
    ValueError
        As `make`.
    """
    silent = {name for name in ("steps", "batch") if str(parameters.get(name)) == "0"}
    given = {name: value for name, value in parameters.items() if value != "" and name not in silent}
    return make(**dict(settings or {}) | given)


def fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those parameters that are fields of `Config`."""
    return {name: value for name, value in parameters.items() if name in Config.model_fields}


def _readable(error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Config.model_fields, n=3, cutoff=0.5) or Config.model_fields
        return f"{name} = {error['input']!r}: no such field; there is {', '.join(near)}"
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    # A rule about several fields names them itself.
    return f"{name} = {error['input']!r}: {message[0].lower()}{message[1:]}" if name else message


def table(*profiles: str) -> pd.DataFrame:
    """Return the profiles side by side: a row per field, the paper's value, its source, and each difference.

    Parameters
    ----------
    *profiles : str
        Which to show; none means all. A cell is empty where the profile keeps the paper's value.
    """
    rows = []
    for name, field in Config.model_fields.items():
        if name in ("profile", "data"):
            continue
        row = {"field": name, "paper": _shown(field.default), "source": field.json_schema_extra["source"]}
        for profile in [p for p in profiles or PROFILES if p != "paper"]:
            row[profile] = _shown(PROFILES[profile][name]) if name in PROFILES[profile] else ""
        rows.append(row | {"meaning": field.description})
    return pd.DataFrame(rows).set_index("field")


def _shown(value: Any) -> str:
    pair = isinstance(value, tuple) and isinstance(value[0], int)
    return " x ".join(map(str, value)) if pair else str(value)
