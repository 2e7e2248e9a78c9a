"""Small networks of every kind, with random weights: wide enough to be real, quick to run."""

from dataclasses import replace

from fastfcn_export.network.architecture import (
    Architecture,
    Aspp,
    Auxiliary,
    Backbone,
    DeepLab,
    EncNet,
    Fcn,
    Jpu,
    JpuX,
    Psp,
    Stage,
)

WIDTHS = (4, 6, 8, 10)


def backbone(
    stem: tuple[int, ...] = (4, 4, 8),
    strides: tuple[int, int, int, int] = (1, 2, 2, 2),
    firsts: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: tuple[int, int, int, int] = (1, 1, 1, 1),
) -> Backbone:
    """A bottleneck ResNet with two blocks a stage."""
    one, two, three, four = (
        Stage(2, width, stride, first, dilation)
        for width, stride, first, dilation in zip(WIDTHS, strides, firsts, dilations, strict=True)
    )
    return Backbone(stem, "bottleneck", (one, two, three, four))


PLAIN = backbone()
DILATED = backbone(strides=(1, 2, 1, 1), firsts=(1, 1, 1, 2), dilations=(1, 1, 2, 4))
VD = replace(PLAIN, pooled_shortcut=True)
VD_DILATED = replace(
    backbone(strides=(1, 2, 1, 1), firsts=(1, 1, 2, 4), dilations=(1, 1, 2, 4)),
    pooled_shortcut=True,
)
VD_BASIC = replace(VD, block="basic")
MMSEG = backbone(firsts=(1, 1, 1, 2), dilations=(1, 1, 2, 4))
ENCNET = EncNet(12, codes=5)
WU, NC, PD = Auxiliary(4), Auxiliary(4, dropout=0.0), Auxiliary(6, bias=True)
PD_HEAD = EncNet(12, codes=5, project_bias=True, dropout=0.0)
MM_JPU = Jpu(8, align_corners=False, coarse_first=False)

# name -> dialect, architecture, output stride of the backbone
CASES: dict[str, tuple[str, Architecture, int]] = {
    "wuhuikai_encnet": ("wuhuikai", Architecture(7, PLAIN, Jpu(8), ENCNET, WU, True), 32),
    "wuhuikai_encnet_no_jpu": (
        "wuhuikai",
        Architecture(7, DILATED, None, EncNet(12, 3, 5), WU, True),
        8,
    ),
    "wuhuikai_laterals": (
        "wuhuikai",
        Architecture(7, DILATED, Jpu(8), EncNet(12, 1, 5, (2, 3)), None, False),
        8,
    ),
    "wuhuikai_jpu_x": (
        "wuhuikai",
        Architecture(3, PLAIN, JpuX((32, 64)), replace(ENCNET, kernel=1), WU, True),
        32,
    ),
    "wuhuikai_psp": ("wuhuikai", Architecture(5, PLAIN, Jpu(8), Psp(8, 6), WU), 32),
    "wuhuikai_deeplab": ("wuhuikai", Architecture(5, PLAIN, Jpu(8), DeepLab(8), WU), 32),
    "wuhuikai_fcn": ("wuhuikai", Architecture(2, PLAIN, Jpu(8), Fcn(8)), 32),
    "wuhuikai_plain_stem": (
        "wuhuikai",
        Architecture(4, backbone(stem=(8,)), Jpu(8), ENCNET, WU, True),
        32,
    ),
    "ncpaddle_encnet": (
        "ncpaddle",
        Architecture(7, backbone(stem=(8,)), Jpu(8), replace(ENCNET, dropout=0.0), NC, True),
        32,
    ),
    "ncpaddle_fcn": (
        "ncpaddle",
        Architecture(7, backbone(stem=(8,)), Jpu(8), Fcn(8, dropout=0.0), NC, False),
        32,
    ),
    "paddleseg_os32": ("paddleseg", Architecture(6, VD, Jpu(8), PD_HEAD, PD, True), 32),
    "paddleseg_os8_laterals": (
        "paddleseg",
        Architecture(6, VD_DILATED, Jpu(8), replace(PD_HEAD, laterals=(1, 2)), PD, True),
        8,
    ),
    "paddleseg_os32_laterals": (
        "paddleseg",
        Architecture(6, VD, Jpu(8), replace(PD_HEAD, laterals=(1, 2)), PD, True),
        32,
    ),
    "paddleseg_no_jpu": (
        "paddleseg",
        Architecture(6, VD_DILATED, None, replace(PD_HEAD, kernel=3), PD, True),
        8,
    ),
    "paddleseg_basic": ("paddleseg", Architecture(6, VD_BASIC, Jpu(8), PD_HEAD, PD, True), 32),
    "mmseg_psp": (
        "mmseg",
        Architecture(6, MMSEG, MM_JPU, Psp(8, 6, align_corners=False), WU),
        32,
    ),
    "mmseg_aspp": ("mmseg", Architecture(6, MMSEG, MM_JPU, Aspp(8), WU), 32),
    "mmseg_encnet": ("mmseg", Architecture(6, MMSEG, MM_JPU, EncNet(12, 3, 5), WU, True), 32),
}
