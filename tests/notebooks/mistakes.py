"""Mistakes that the checks of the tutorials must find, by tutorial and task: a piece of the answer, and another."""

MISTAKES = {
    "02": {
        1: [
            ("height - size + 1", "height - size"),
            ("ravel()", "T.ravel()"),
            ("width - size + 1", "height - size + 1"),
        ],
        2: [("1 + (", "("), ("2 * pad", "pad"), ("// stride", "/ stride"), ("- kernel) //", ") //")],
        3: [
            ("+= dpatches", "= dpatches"),
            ("oh * across + ow", "ow * across + oh"),
            (".reshape(size, size)", ".reshape(size, size).T"),
        ],
    },
}
