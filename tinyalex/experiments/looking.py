"""The experiments that train nothing of their own: they look at nets that others need (sections 4.1 and 6)."""

from dataclasses import replace

from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.measures import AVERAGED, BY_FEATURES, BY_PIXELS, CHANCE_GAP, COLOUR_GAP, SPLITS, TEN_CROPS
from tinyalex.experiments.trial import net

TEN_CROP = Experiment(
    "ten-crop",
    "Ten crops averaged",
    "4.1",
    claim="Averaged over ten crops the top-1 error is 37.5 %, on the central crop 39.0 %.",
    released="Log 145-2010: 37.47 % against 39.02 %.",
    varies="What is averaged for an image: ten crops, or the central one alone.",
    held="The nets: the same ones are tested in two ways.",
    limits="A crop of 32 from 36 pixels moves by 2 pixels at most; one of 224 from 256 by 16.",
    arms=(Arm("central crop"), Arm("ten crops", measure=TEN_CROPS)),
    comparisons=(Comparison("ten crops", "central crop", paper=-1.5, released=-1.55),),
)

AVERAGING = Experiment(
    "averaging",
    "Five nets averaged",
    "6",
    claim="The mean of five nets has a top-1 error of 38.1 %, a single one 40.7 %.",
    varies="The number of nets whose probabilities are averaged.",
    held="The nets, which differ in their seed only, and the central crop. (The paper averages ten crops of each.)",
    limits="The mean of the five nets is one mean: it is compared with each of the five, not with five other means.",
    arms=(Arm("one net"), Arm("five nets averaged", measure=AVERAGED)),
    comparisons=(Comparison("five nets averaged", "one net", paper=-2.6),),
    seeds=5,
)

_FULL_COLUMN = net(lambda spec: replace(spec, columns=1))
KERNELS = Experiment(
    "kernels",
    "What the two columns see (figure 3)",
    "6.1",
    claim="The kernels of one column are largely agnostic to colour, those of the other largely specific to colour. "
    "This happens in every run, whatever the initial weights, but for the numbering of the columns.",
    varies="How the kernels of the first layer are split into two halves: by column, or by chance. The control is a "
    "net with one full column, whose kernels are split by their numbers: there the numbers mean nothing.",
    held="The net and its kernels. Colourfulness is the share of a kernel that is not grey. What is measured is how "
    f"far its means over the two halves are apart; by chance, the mean of {SPLITS:,} splits.",
    limits="32 kernels of 5 x 5, after a few epochs, on images of 32 x 32; the paper has 96 of 11 x 11. Seeds alone "
    "are drawn for the interval, and five are few.",
    arms=(
        Arm("by column", measure=COLOUR_GAP),
        Arm("by chance", measure=CHANCE_GAP),
        Arm("one column, by number", _FULL_COLUMN, COLOUR_GAP),
        Arm("one column, by chance", _FULL_COLUMN, CHANCE_GAP),
    ),
    comparisons=(
        Comparison("by column", "by chance", sign=1),
        Comparison("one column, by number", "one column, by chance", sign=None),
    ),
    seeds=5,
)

NEIGHBOURS = Experiment(
    "neighbours",
    "Nearest images: by pixels, and by the last hidden layer (figure 4)",
    "6.1",
    claim="Images whose features in the last hidden layer are near are similar, though their pixels are far apart.",
    varies="Where distances are measured: between pixels, or between features of the last hidden layer.",
    held="The images: 300 validation images, and for each the six nearest of 5,000 training images. What is measured "
    "is the share of these six that are of another class.",
    limits="A class is a coarse measure of likeness, and the distance of the pixels is not measured. Figure 4 of the "
    "paper shows pictures, and counts nothing.",
    arms=(Arm("by features", measure=BY_FEATURES), Arm("by pixels", measure=BY_PIXELS)),
    comparisons=(Comparison("by features", "by pixels"),),
)
