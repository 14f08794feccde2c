"""What must a kernel say to the processor that Python has no words for? Three instructions."""

from __future__ import annotations

from typing import Any

from lsr.kernel import intrinsic


@intrinsic
def prefetch(typingctx: Any, array: Any, position: Any) -> Any:
    """Load the cache line of ``array[position]`` into all cache levels; never faults, whatever the position."""
    from numba.core import types

    signature = types.void(array, position)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(_address(context, builder, signature, arguments), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, number(0), number(3), number(1)])  # read, keep, data
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def four_at(typingctx: Any, array: Any, position: Any) -> Any:
    """``array[position:position + 4]`` of a uint16 array as one uint64, the first in the lowest bits; unchecked."""
    from numba.core import types

    signature = types.uint64(array, position)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        address = builder.bitcast(_address(context, builder, signature, arguments), ir.IntType(64).as_pointer())
        return builder.load(address, align=2)

    return signature, generate


@intrinsic
def array_at(typingctx: Any, address: Any, size: Any, kind: Any) -> Any:
    """The ``size`` numbers of a type that lie in one piece from an address on, as an array that owns nothing."""
    from numba.core import types

    found = types.Array(kind.dtype, 1, "C")
    signature = found(types.intp, types.intp, kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.np.arrayobj import populate_array

        view = context.make_array(found)(context, builder)
        width = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(found.dtype)))
        data = builder.inttoptr(arguments[0], view.data.type)
        populate_array(view, data=data, shape=[arguments[1]], strides=[width], itemsize=width, meminfo=None)
        return view._getvalue()

    return signature, generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    view = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(view.data, [arguments[1]])
