"""The published networks, full size, as their papers and configurations describe them."""

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


def resnet(
    stem: tuple[int, ...] = (64, 64, 128),
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
    dilations: tuple[int, int] = (1, 1),
    firsts: tuple[int, int] = (1, 1),
    strides: tuple[int, int] = (2, 2),
) -> Backbone:
    """A bottleneck ResNet; what is given in pairs is of the last two stages."""
    return Backbone(
        stem,
        "bottleneck",
        (
            Stage(blocks[0], 64),
            Stage(blocks[1], 128, 2),
            Stage(blocks[2], 256, strides[0], firsts[0], dilations[0]),
            Stage(blocks[3], 512, strides[1], firsts[1], dilations[1]),
        ),
    )


R50 = resnet()
R101 = resnet(blocks=(3, 4, 23, 3))
VD50 = replace(resnet(stem=(32, 32, 64)), pooled_shortcut=True)
VD50_STRIDE_8 = replace(
    resnet(stem=(32, 32, 64), dilations=(2, 4), firsts=(2, 4), strides=(1, 1)),
    pooled_shortcut=True,
)
MM50 = resnet(stem=(32, 32, 64), dilations=(2, 4), firsts=(1, 2))
MM_JPU = Jpu(align_corners=False, coarse_first=False)
WU, NC, PD = Auxiliary(256), Auxiliary(256, dropout=0.0), Auxiliary(512, bias=True)
PD_HEAD = EncNet(project_bias=True, dropout=0.0)

WUHUIKAI_ENCNET = Architecture(150, R50, Jpu(), EncNet(), WU, True)
WUHUIKAI_ENCNET_101 = replace(WUHUIKAI_ENCNET, backbone=R101)
WUHUIKAI_JPU_X = replace(WUHUIKAI_ENCNET, jpu=JpuX())
WUHUIKAI_PSP = Architecture(59, R50, Jpu(), Psp(), WU)
WUHUIKAI_DEEPLAB = Architecture(59, R50, Jpu(), DeepLab(), WU)
WUHUIKAI_FCN = Architecture(21, R50, Jpu(), Fcn(), WU)
NCPADDLE_ENCNET = Architecture(150, resnet(stem=(64,)), Jpu(), EncNet(dropout=0.0), NC, True)
PADDLESEG_OS32 = Architecture(150, VD50, Jpu(), PD_HEAD, PD, True)
PADDLESEG_LATERALS = Architecture(
    150, VD50_STRIDE_8, Jpu(), replace(PD_HEAD, laterals=(1, 2)), PD, True
)
MMSEG_PSP = Architecture(19, MM50, MM_JPU, Psp(align_corners=False), WU)
MMSEG_ASPP = Architecture(19, MM50, MM_JPU, Aspp(), WU)
MMSEG_ENCNET = Architecture(19, MM50, MM_JPU, EncNet(kernel=3), WU, True)
