# optimum-cli imports every file of this folder when it starts: `optimum-cli export openvino` of a DeepSeek-V4 goes through dsv4 then. It adds no command.
from ..export.openvino import OVExportCommand

REGISTER_COMMANDS = []


def _install():
    original = OVExportCommand.run

    def run(self):
        # Only here, for it takes seconds: transformers and torch.
        from dsv4_openvino._hooks import run_command

        return run_command(original, self)

    OVExportCommand.run = run


_install()
