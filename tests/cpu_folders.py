# Folders of the CPU program for clients (convert --program cpu --from), and how clients load them.
import openvino
import program
from client_models import FORMATS, PROPERTIES
from sequence import Sequence

EXACT = ("--activations", "f32", "--cache", "f32")


def ops_library():
    return str(program.executable().parent / "libdsv4_ops.so")


def folder_of(library, name, weight_format, flags=EXACT):
    """Over the portable folder's weights; made once."""
    portable = library.folder(name, *FORMATS[weight_format])
    folder = portable.parent / f"{portable.name}-cpu{'-'.join(flags)}"
    if not folder.exists():
        program.succeed("convert", "--program", "cpu", "--from", portable, folder, *flags)
    return folder


def core():
    core = openvino.Core()
    core.add_extension(ops_library())
    return core


def compile_folder(folder, **properties):
    return core().compile_model(folder / "openvino_model.xml", "CPU", {**PROPERTIES, **properties})


def requests_of(library, name, weight_format):
    """Requests of the portable folder and of the CPU program with exact arithmetic."""
    return [Sequence(library.compiled(name, *FORMATS[weight_format])), Sequence(compile_folder(folder_of(library, name, weight_format)))]
