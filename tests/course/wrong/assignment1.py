"""More mistakes in assignment 1."""

from course.mistakes import Mistake

PAD = "((0, 0), (0, 0), (PH, PH), (PW, PW))"
MISTAKES = [
    Mistake(
        "conv_loops", "bias in the sum", "(w[o] * field).sum() + b[o]", "(w[o] * field + b[o]).sum()", "once for each"
    ),
    Mistake("conv_loops", "mean for sum", "(w[o] * field).sum()", "(w[o] * field).mean()", ""),
    Mistake("conv_loops", "the edge repeated in the pad", PAD + ")", PAD + ', mode="edge")', ""),
    Mistake("conv_loops", "first channel only", "padded[n, :, p * SH", "padded[n, :1, p * SH", ""),
    Mistake("conv_loops_backward", "db of the last place", "db[o] += dy", "db[o] = dy", ""),
    Mistake(
        "conv_loops_backward",
        "pad cut at one side",
        "PH : PH + H, PW : PW + W",
        ":H, :W",
        "at the bottom and right only",
    ),
    Mistake("conv_loops_backward", "dw averaged over images", "dw[o] += dy[n", "dw[o] += 1 / len(x) * dy[n", ""),
    Mistake("conv_loops_backward", "float64", "np.zeros_like(padded)", "np.zeros(padded.shape)", "is float64"),
    Mistake("im2col", "places by columns", "patches.reshape(N", "patches.transpose(0, 2, 1, 3, 4, 5).reshape(N", ""),
    Mistake("im2col", "pad of ones", PAD + ")", PAD + ", constant_values=1)", ""),
    Mistake(
        "im2col", "kernel mirrored", "patches[:, :, :, :, i, j]", "patches[:, :, :, :, KH - 1 - i, KW - 1 - j]", ""
    ),
    Mistake(
        "im2col", "float64", "np.zeros((N, OH, OW, C, KH, KW), x.dtype)", "np.zeros((N, OH, OW, C, KH, KW))", "float64"
    ),
    Mistake("col2im", "float64", "W + 2 * PW), patches.dtype)", "W + 2 * PW))", "is float64"),
    Mistake("col2im", "pad cut at one side", "PH : PH + H, PW : PW + W", ":H, :W", ""),
    Mistake("conv_forward", "bias twice", ".T + b", ".T + b + b", "b is added twice"),
    Mistake(
        "conv_forward", "height and width swapped", "reshape(len(x), OH, OW, OC)", "reshape(len(x), OW, OH, OC)", ""
    ),
    Mistake("conv_backward", "db averaged over images", "dy_rows.sum(axis=0)", "dy_rows.sum(axis=0) / len(x)", ""),
    Mistake("conv_backward", "dx averaged over images", "return dx, dw", "return dx / len(x), dw", ""),
    Mistake("conv_backward", "dw with the sign of a step", "return dx, dw", "return dx, -dw", "wrong sign"),
    Mistake("grouped_forward", "biases of the first group", "b[g * KG : (g + 1) * KG]", "b[:KG]", ""),
    Mistake(
        "grouped_forward",
        "groups in reverse",
        "np.concatenate(parts, axis=1)",
        "np.concatenate(parts[::-1], axis=1)",
        "",
    ),
    Mistake("grouped_backward", "db added up", "np.concatenate(db)", "sum(db)", ""),
    Mistake("grouped_backward", "dw joined along channels", "np.concatenate(dw)", "np.concatenate(dw, axis=1)", ""),
    Mistake("conv_loops", "the pad at the right is PH", "(PW, PW)", "(PW, PH)", ""),
    Mistake("conv_loops_backward", "the pad at the right is PH", "(PW, PW)", "(PW, PH)", ""),
    Mistake("conv_loops_backward", "the pad at the bottom is PW", "(PH, PH)", "(PH, PW)", ""),
]
