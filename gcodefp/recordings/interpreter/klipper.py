"""Klipper's commands that are no G-code: `SET_VELOCITY_LIMIT ACCEL=3000`."""

import re

from gcodefp.recordings.interpreter.modal_machine import ModalMachine

_ARGUMENT = re.compile(r"(\w+)=(\S+)")
_HARMLESS = re.compile(
    r"(?:SET_(?!GCODE_OFFSET|KINEMATIC)|EXCLUDE_OBJECT|TURN_OFF_HEATERS|TEMPERATURE_WAIT|RESPOND|ECHO"
    r"|STATUS|HELP|ACTIVATE_EXTRUDER|BED_MESH_(?:CLEAR|PROFILE|OUTPUT)|SKEW_PROFILE|PID_|QUERY_"
    r"|GET_POSITION|UPDATE_DELAYED_GCODE|CLEAR_PAUSE|SDCARD_|SAVE_VARIABLE|TIMELAPSE_TAKE_FRAME"
    r"|PRINT_STATS|MANUAL_STEPPER|SYNC_EXTRUDER_MOTION|M\d+)\w*",
    re.I,
)
"""Commands that leave the head and its coordinates alone."""


class ExtendedCommands:
    """Executes what moves nothing; all else may be a macro of the printer's own configuration."""

    def __init__(self, machine: ModalMachine) -> None:
        self._machine = machine
        self._saved: dict[str, tuple[bool, bool, float, list[float], float]] = {}

    def execute(self, text: str) -> str:
        """Executes a command; why it is not understood, empty if it is."""
        command = text.split(maxsplit=1)[0].upper()
        arguments = {key.upper(): value for key, value in _ARGUMENT.findall(text)}
        name, machine = arguments.get("NAME", "default"), self._machine
        if command == "SAVE_GCODE_STATE":
            modes = (machine.is_absolute, machine.is_absolute_e, machine.feed)
            self._saved[name] = (*modes, machine.frame.shift, machine.position[3])
            return ""
        if command != "RESTORE_GCODE_STATE":
            is_harmless = _HARMLESS.fullmatch(command)
            return "" if is_harmless else "a macro that is not in this file may move the machine"
        if name not in self._saved:
            return "no state of this name was saved"
        machine.is_absolute, machine.is_absolute_e, machine.feed, shift, e = self._saved[name]
        # The extruder has moved on since, but its programmed position is what it was.
        machine.frame.shift = [*shift[:3], shift[3] + machine.position[3] - e]
        machine.forget_modal()
        return "the move back is not traced" if arguments.get("MOVE", "0") != "0" else ""
