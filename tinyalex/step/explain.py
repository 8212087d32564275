"""Each kind of layer in words and formulas, with the section of the paper that describes it.

Axes: n images, o kernels, c channels, (u, v) row and column of the output, (p, q) of the input, (i, j) of the kernel.
S is the stride and P the pad. Gradients are written as in the code: dy = dL/dy.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SoftmaxCrossEntropy,
    SpatialResponseNorm,
    Tanh,
)


class Formula(NamedTuple):
    """One formula as plain text, in LaTeX, and as a sentence."""

    text: str
    latex: str
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """One kind of layer.

    kind: a short name.   title: the usual name of the layer.   section: the section of the paper.
    kept: the names of the arrays that forward keeps for backward, in the order of the layer's cache.
    """

    kind: str
    title: str
    section: str
    forward: Formula
    backward: Formula
    kept: tuple[str, ...]


_EXPLAINED: dict[type, Explanation] = {
    Conv2D: Explanation(
        "conv",
        "Convolution",
        "3.5",
        Formula(
            "y[o, u, v] = b[o] + sum over c, i, j of w[o, c, i, j] * x[c, u*S + i - P, v*S + j - P]",
            r"y_{o,u,v} = b_o + \sum_{c,i,j} w_{o,c,i,j} \cdot x_{c,\,uS+i-P,\,vS+j-P}",
            "Each kernel slides over the input. At every place it multiplies the input by its weights, and adds up.",
        ),
        Formula(
            "dw[o, c, i, j] = sum over u, v of dy[o, u, v] * x[c, u*S + i - P, v*S + j - P];  "
            "db[o] = sum over u, v of dy[o, u, v];  dx: each dy[o, u, v] * w[o, c, i, j] is added to the pixel that "
            "w[o, c, i, j] was multiplied with",
            r"dx_{c,p,q} = \sum_{o,i,j} w_{o,c,i,j} \cdot dy_{o,u,v} , \quad uS+i-P=p , \ vS+j-P=q ; "
            r"\quad dw_{o,c,i,j} = \sum_{u,v} dy_{o,u,v} \cdot x_{c,\,uS+i-P,\,vS+j-P}",
            "Every product of the forward pass has two factors, a pixel and a weight. "
            "Each factor gets the gradient times the other factor.",
        ),
        ("x",),
    ),
    ReLU: Explanation(
        "relu",
        "Rectified linear unit",
        "3.1",
        Formula("y = max(0, x)", r"y = \max(0, x)", "Positive numbers pass, negative ones become 0."),
        Formula(
            "dx = dy where y > 0, else 0",
            r"dx = dy \cdot [y > 0]",
            "The gradient passes where the unit was on, and stops where it was off.",
        ),
        ("y",),
    ),
    Tanh: Explanation(
        "tanh",
        "Hyperbolic tangent",
        "3.1",
        Formula("y = tanh(x)", r"y = \tanh(x)", "Every number is squashed into -1 ... 1."),
        Formula(
            "dx = dy * (1 - y**2)",
            r"dx = dy \cdot (1 - y^2)",
            "Where the unit is saturated, near -1 or 1, hardly any gradient passes.",
        ),
        ("y",),
    ),
    LocalResponseNorm: Explanation(
        "lrn",
        "Local response normalisation",
        "3.3",
        Formula(
            "y[c] = x[c] / (k + alpha * sum of x[j]**2 over the maps j around c)**beta",
            r"y_c = \frac{x_c}{( k + \alpha \sum_j x_j^2 )^{\beta}}",
            "Each response is damped by those of the neighbouring maps at the same place: they compete.",
        ),
        Formula(
            "dx[j] = dy[j] / s[j]**beta - 2 alpha beta x[j] * sum of dy[c] y[c] / s[c] over the maps c that see j",
            r"dx_j = \frac{dy_j}{s_j^{\beta}} - 2 \alpha \beta \, x_j \sum_c \frac{dy_c \, y_c}{s_c} , \quad "
            r"s_c = k + \alpha \sum_j x_j^2",
            "A response gets its own gradient, less its effect on the neighbours that it damps.",
        ),
        ("x",),
    ),
    SpatialResponseNorm: Explanation(
        "spatial-norm",
        "Response normalisation within a map",
        "3.3",
        Formula(
            "y[p] = x[p] / (1 + alpha * sum of x[q]**2 over the cells q around p)**beta",
            r"y_p = \frac{x_p}{( 1 + \alpha \sum_q x_q^2 )^{\beta}}",
            "Each response is damped by those around it in its own map. Only the released code has this layer.",
        ),
        Formula(
            "dx[q] = dy[q] / s[q]**beta - 2 alpha beta x[q] * sum of dy[p] y[p] / s[p] over the cells p that see q",
            r"dx_q = \frac{dy_q}{s_q^{\beta}} - 2 \alpha \beta \, x_q \sum_p \frac{dy_p \, y_p}{s_p} , \quad "
            r"s_p = 1 + \alpha \sum_q x_q^2",
            "A response gets its own gradient, less its effect on the neighbours that it damps.",
        ),
        ("x", "y", "s"),
    ),
    MaxPool2D: Explanation(
        "pool",
        "Overlapping max-pooling",
        "3.4",
        Formula(
            "y[c, u, v] = max over i, j of x[c, u*S + i, v*S + j]",
            r"y_{c,u,v} = \max_{i,j} \, x_{c,\,uS+i,\,vS+j}",
            "Each window passes on its largest number. Neighbouring windows share a row or a column of cells.",
        ),
        Formula(
            "dx[c, p, q] = sum of dy[c, u, v] over the windows (u, v) in which x[c, p, q] is the largest",
            r"dx_{c,p,q} = \sum_{u,v} dy_{c,u,v} , \quad x_{c,p,q} = y_{c,u,v}",
            "Only the largest cell of a window gets its gradient. The largest cell of several windows gets their sum.",
        ),
        ("argmax",),
    ),
    AveragePool2D: Explanation(
        "average-pool",
        "Average pooling",
        "3.4",
        Formula(
            "y[c, u, v] = sum over i, j of x[c, u*S + i, v*S + j] / n[u, v], the number of cells in the window",
            r"y_{c,u,v} = \frac{1}{n_{u,v}} \sum_{i,j} x_{c,\,uS+i,\,vS+j}",
            "Each window passes on the mean of its cells. The paper takes the maximum.",
        ),
        Formula(
            "dx[c, p, q] = sum of dy[c, u, v] / n[u, v] over the windows (u, v) that contain x[c, p, q]",
            r"dx_{c,p,q} = \sum_{u,v} \frac{dy_{c,u,v}}{n_{u,v}}",
            "Every cell of a window gets the same share of its gradient.",
        ),
        (),
    ),
    Flatten: Explanation(
        "flatten",
        "Flatten",
        "3.5",
        Formula(
            "y[c*H*W + p*W + q] = x[c, p, q]",
            r"y_{cHW+pW+q} = x_{c,p,q}",
            "The maps are laid out as one row of features, map by map.",
        ),
        Formula(
            "dx[c, p, q] = dy[c*H*W + p*W + q]",
            r"dx_{c,p,q} = dy_{cHW+pW+q}",
            "The row is cut into maps again.",
        ),
        (),
    ),
    Linear: Explanation(
        "linear",
        "Fully connected layer",
        "3.5",
        Formula(
            "y[u] = b[u] + sum over d of w[u, d] * x[d]",
            r"y_u = b_u + \sum_d w_{u,d} \cdot x_d",
            "Every unit reads every feature, with a weight for each.",
        ),
        Formula(
            "dx[d] = sum over u of w[u, d] * dy[u];  dw[u, d] = dy[u] * x[d];  db[u] = dy[u]",
            r"dx_d = \sum_u w_{u,d} \cdot dy_u ; \quad dw_{u,d} = dy_u \cdot x_d ; \quad db_u = dy_u",
            "Each feature gets the gradients of all units, weighted by the same weights.",
        ),
        ("x",),
    ),
    Dropout: Explanation(
        "dropout",
        "Dropout",
        "4.2",
        Formula(
            "y = x * mask in training, x * (1 - p) in testing",
            r"y = x \cdot m , \quad m = 0 \ \mathrm{or} \ 1",
            "In training each unit is switched off with probability p, independently for each image.",
        ),
        Formula(
            "dx = dy * mask",
            r"dx = dy \cdot m",
            "A unit that was switched off gets no gradient, so it learns nothing from this image.",
        ),
        ("mask",),
    ),
    SoftmaxCrossEntropy: Explanation(
        "loss",
        "Softmax and cross-entropy loss",
        "3.5",
        Formula(
            "p[k] = exp(x[k]) / sum over j of exp(x[j]);  loss = -log p[label]",
            r"p_k = \frac{e^{x_k}}{\sum_j e^{x_j}} , \quad L = - \log p_{\mathrm{label}}",
            "The logits become probabilities. The loss is small where the right class has a large one.",
        ),
        Formula(
            "dx[k] = (p[k] - [k = label]) / N",
            r"dx_k = ( p_k - [ k = \mathrm{label} ] ) / N",
            "The predicted probabilities minus the true ones. Here the backward pass begins.",
        ),
        ("p",),
    ),
}


def explanation(layer: Layer | SoftmaxCrossEntropy) -> Explanation:
    """The words and formulas for a layer."""
    return _EXPLAINED[type(layer)]
