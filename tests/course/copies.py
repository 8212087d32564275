"""Copies of a notebook, as students disguise them: renamed, laid out anew, commented, padded, put in another order."""

import ast
import builtins
import copy
import random

from course.sources import solution_cells


class Renamed(ast.NodeTransformer):
    """All names of the student's own are replaced, and types and documentation are left out."""

    def __init__(self, tree, keep):
        own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        self.names = {name: f"value_{i}" for i, name in enumerate(sorted(own - keep - set(dir(builtins))))}

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(self.names.get(node.id, node.id), node.ctx), node)

    def visit_arg(self, node):
        return ast.copy_location(ast.arg(self.names.get(node.arg, node.arg)), node)

    def visit_FunctionDef(self, node):
        node.returns = None
        if ast.get_docstring(node):
            node.body = node.body[1:]
        return self.generic_visit(node)


def renamed(source):
    tree = ast.parse(source)
    return ast.unparse(ast.fix_missing_locations(Renamed(tree, set()).visit(tree)))


def padded(source, rng):
    """A comment and a statement that does nothing after some lines."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.For):
            place = rng.randrange(1, len(node.body) + 1) if len(node.body) > 1 else 0
            node.body.insert(place, ast.parse(f"checked_{rng.randrange(99)} = True").body[0])
    return "# my own work\n" + ast.unparse(ast.fix_missing_locations(tree))


def disguised(notebook, rng=None):
    """A copy of the notebook; with a random generator, padded as well, and the functions of a cell in another order."""
    notebook = copy.deepcopy(notebook)
    for cell in solution_cells(notebook).values():
        cell.source = renamed(cell.source)
        if rng:
            tree = ast.parse(padded(cell.source, rng))
            random.Random(rng.random()).shuffle(tree.body)
            cell.source = ast.unparse(tree)
    return notebook
