"""cupy.ndarray of the stand-in: a NumPy array in a box that says where it lies, and lets nobody look in by accident."""

import operator
import types

import numpy as np

from standin.clocks import waited
from standin.cuda import Device, current_device, current_stream, stream_for_copies, unreachable
from standin.memory import Memory
from standin.pinned import Pinned

SCALARS = (bool, int, float, np.generic)


def launch(what, reads, writes=()):
    """Work on the current stream. Raises ValueError for an array of another device than the current one."""
    here = current_device()
    for array in (*reads, *writes):
        if array.device.id != here:
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {array.device.id} while current = {here}"
            )
    current_stream(here).work(what, [array.memory for array in reads], [array.memory for array in writes])


def made(what, held, *reads):
    """A new array on the current device, that work on `reads` writes; C-contiguous, as CuPy's are."""
    result = ndarray(np.array(held, order="C"))
    launch(what, reads, [result])
    return result


def plain(value):
    """The NumPy array or scalar of an operand. Raises TypeError for an array of NumPy, as CuPy does."""
    if isinstance(value, ndarray):
        return value._held
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def compute(what, function, *operands):
    """function(*operands) as a new array."""
    return made(what, function(*(plain(one) for one in operands)), *(o for o in operands if isinstance(o, ndarray)))


def _refuse(*_, **__):
    raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct one.")


class ndarray:
    __module__ = "cupy"
    __array__ = __array_function__ = _refuse
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, held, memory=None):
        self._held = held
        self.memory = memory or Memory(current_device(), current_stream(current_device()), held)

    def _view(self, held):
        return ndarray(held, self.memory)

    # ------------------------------------------------------------ what costs nothing

    device = property(lambda self: Device(self.memory.device))
    shape = property(lambda self: self._held.shape)
    dtype = property(lambda self: self._held.dtype)
    strides = property(lambda self: self._held.strides)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)
    nbytes = property(lambda self: self._held.nbytes)
    itemsize = property(lambda self: self._held.itemsize)
    T = property(lambda self: self._view(self._held.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._held.ctypes.data))

    @property
    def flags(self):
        return _Flags(self._held.flags)

    def __len__(self):
        return len(self._held)

    def transpose(self, *axes):
        return self._view(self._held.transpose(*axes))

    def swapaxes(self, one, two):
        return self._view(self._held.swapaxes(one, two))

    def reshape(self, *shape):
        shape = shape[0] if len(shape) == 1 else shape
        try:
            return self._view(np.reshape(self._held, shape, copy=False))
        except ValueError:
            return made("reshape", self._held.reshape(shape), self)

    # ------------------------------------------------------------ parts

    def __getitem__(self, index):
        arrays = [one for one in _as_tuple(index) if isinstance(one, ndarray)]
        if any(array.dtype == bool for array in arrays):
            waited(current_stream(current_device()), "an index of a mask")
        held = self._held[_plain_index(index)]
        return made("getitem", held, self, *arrays) if arrays else self._view(np.asarray(held))

    def __setitem__(self, index, value):
        arrays = [one for one in _as_tuple(index) if isinstance(one, ndarray)]
        self._held[_plain_index(index)] = plain(value)
        launch("setitem", [*arrays, *([value] if isinstance(value, ndarray) else [])], [self])

    def fill(self, value):
        self[...] = value

    # ------------------------------------------------------------ work

    def copy(self):
        return made("copy", self._held, self)

    def astype(self, dtype, copy=True):
        return self if not copy and self.dtype == dtype else made("astype", self._held.astype(dtype), self)

    def sum(self, axis=None, keepdims=False):
        return compute("sum", lambda held: held.sum(axis=axis, keepdims=keepdims), self)

    def mean(self, axis=None):
        return compute("mean", lambda held: held.mean(axis=axis), self)

    def max(self, axis=None, keepdims=False):
        return compute("max", lambda held: held.max(axis=axis, keepdims=keepdims), self)

    def min(self, axis=None, keepdims=False):
        return compute("min", lambda held: held.min(axis=axis, keepdims=keepdims), self)

    def argmax(self, axis=None):
        return compute("argmax", lambda held: held.argmax(axis=axis), self)

    def all(self):
        return compute("all", lambda held: held.all(), self)

    def any(self):
        return compute("any", lambda held: held.any(), self)

    # ------------------------------------------------------------ what makes the host wait

    def get(self, stream=None, order="C", out=None, blocking=True):
        stream = stream or stream_for_copies(self.memory.device)
        stream.work("get", [self.memory], [])
        if blocking:
            waited(stream, "get")
        if out is None:
            return np.array(self._held, order=order)
        out.view(np.ndarray)[...] = self._held  # the stream writes, not the host
        return out

    def set(self, arr, stream=None):
        if not (isinstance(arr, np.ndarray) and (arr.shape, arr.dtype) == (self.shape, self.dtype)):
            raise TypeError("Only numpy.ndarray of the same shape and dtype can be set to cupy.ndarray")
        self._held[...] = arr
        stream = stream or stream_for_copies(self.memory.device)
        stream.work("set", [], [self.memory])
        if isinstance(arr, Pinned):
            arr.copied(stream)

    def item(self):
        return self._number("item").item()

    def __float__(self):
        return float(self._number("float"))

    def __int__(self):
        return int(self._number("int"))

    __index__ = __int__

    def __bool__(self):
        return bool(self._number("bool"))

    def tolist(self):
        return self._number("tolist").tolist()

    def _number(self, what):
        stream = stream_for_copies(self.memory.device)
        stream.work(what, [self.memory], [])
        waited(stream, what)
        return self._held

    def __deepcopy__(self, memo):
        with self.device:
            return self.copy()


def _as_tuple(index):
    return index if isinstance(index, tuple) else (index,)


def _plain_index(index):
    def one(part):
        if isinstance(part, np.ndarray | list):
            raise TypeError("an index of the host: move it first")
        return part._held if isinstance(part, ndarray) else part

    return tuple(one(part) for part in index) if isinstance(index, tuple) else one(index)


class _Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous


def _operators():
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "ne", "and", "or"):
        function, in_place_function = getattr(operator, f"__{name}__"), getattr(operator, f"__i{name}__", None)

        def forward(self, other, function=function, name=name):
            return compute(name, function, self, other)

        def reflected(self, other, function=function, name=name):
            return compute(name, function, other, self)

        def in_place(self, other, function=in_place_function, name=name):
            function(self._held, plain(other))
            launch(f"i{name}", [self, *([other] if isinstance(other, ndarray) else [])], [self])
            return self

        setattr(ndarray, f"__{name}__", forward)
        if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(ndarray, f"__r{name}__", reflected)
            if name != "matmul":
                setattr(ndarray, f"__i{name}__", in_place)
    for name in ("neg", "abs", "invert"):
        function = getattr(operator, f"__{name}__")
        setattr(ndarray, f"__{name}__", lambda self, function=function, name=name: compute(name, function, self))


_operators()


def adopted(held):
    """A NumPy array as an array of the current device, copied on the current stream."""
    result = ndarray(held)
    launch("copy from the host", [], [result])
    return result


def across(array):
    """An array of another device, copied to the current one on the current stream: `array` must lie in one piece."""
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        with array.device:
            array = array.copy()
    assert frozenset((array.device.id, current_device())) not in unreachable, "the driver would copy it piece by piece"
    result = ndarray(array._held.copy(order="A"))
    current_stream(current_device()).work("copy from card to card", [array.memory], [result.memory])
    return result
