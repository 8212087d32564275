"""The experiments that train nothing of their own: they look at nets that others need (sections 4.1 and 6)."""

from dataclasses import replace

from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.measures import AVERAGED, BY_FEATURES, BY_PIXELS, COLOUR_GAP, TEN_CROPS
from tinyalex.experiments.trial import net

TEN_CROP = Experiment(
    "ten-crop",
    "Ten crops averaged",
    "4.1",
    claim="Averaged over ten crops the top-1 error is 37.5 %, on the central crop 39.0 %.",
    released="Log 145-2010: 37.47 % against 39.02 %.",
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
    held="The nets, which differ in their seed only, and the central crop. (The paper averages ten crops of each.)",
    limits="The interval is over images. The five nets are compared with each of them.",
    arms=(Arm("one net"), Arm("five nets averaged", measure=AVERAGED)),
    comparisons=(Comparison("five nets averaged", "one net", paper=-2.6),),
    seeds=5,
)

KERNELS = Experiment(
    "kernels",
    "What the two columns see (figure 3)",
    "6.1",
    claim="The kernels of one column are largely agnostic to colour, those of the other largely specific to colour. "
    "This happens in every run, whatever the initial weights, but for the numbering of the columns.",
    held="All else. The control is a net with one full column, whose kernels are split by their numbers into a first "
    "and a second half; in one column this order means nothing. Colourfulness is the share of a kernel that is not "
    "grey. What is measured is how far its means over the two halves are apart.",
    limits="32 kernels of 5 x 5, after a few epochs, on images of 32 x 32; the paper has 96 of 11 x 11. The interval "
    "is over seeds, of which there are few.",
    arms=(
        Arm("two columns", measure=COLOUR_GAP),
        Arm("one full column", net(lambda spec: replace(spec, columns=1)), COLOUR_GAP),
    ),
    comparisons=(Comparison("two columns", "one full column", sign=1),),
    seeds=5,
)

NEIGHBOURS = Experiment(
    "neighbours",
    "Nearest images: by pixels, and by the last hidden layer (figure 4)",
    "6.1",
    claim="Images whose features in the last hidden layer are near are similar, though their pixels are far apart.",
    held="The images: 300 validation images, and for each the six nearest of 5,000 training images. What is measured "
    "is the share of these six that are of another class.",
    limits="A class is a coarse measure of likeness. Figure 4 of the paper shows pictures, and counts nothing.",
    arms=(Arm("by features", measure=BY_FEATURES), Arm("by pixels", measure=BY_PIXELS)),
    comparisons=(Comparison("by features", "by pixels"),),
)
