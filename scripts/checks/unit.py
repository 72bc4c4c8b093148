"""What a unit file asks of a program.

    unit.py verify UNIT PROGRAM        systemd itself reads the unit, which is to start this program
    unit.py exec UNIT PROGRAM ARG...   runs the program with the unit's environment and under its filter of system calls

What systemd would put in place of `%i` and `%S` is `node-1` and the environment variable STATE_DIRECTORY. A call that the
unit refuses kills the program, whatever the unit wants to be answered: otherwise nobody would see it here.
"""

import ctypes
import errno
import os
import pathlib
import subprocess
import sys
import tempfile

# SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
KILL, ALLOW, REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
# Versions before 253 do not know this type, and pass it over as the unit wants it.
UNKNOWN_TYPE = "Failed to parse service type, ignoring: notify-reload"


def settings(unit, name):
    """The values that the unit gives a name, in its order."""
    lines = (line.partition("=") for line in unit.read_text(encoding="utf-8").splitlines())
    return [value for key, _, value in lines if key == name]


def verify(unit, program):
    """Ends with an error where systemd finds anything to say."""
    start, = settings(unit, "ExecStart")
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory, unit.name)
        text = unit.read_text(encoding="utf-8").replace(start, " ".join([program] + start.split()[1:]))
        copy.write_text(text, encoding="utf-8")
        wanted = pathlib.Path(directory, unit.name.replace("@", "@node-1"))
        result = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(wanted)], capture_output=True, text=True, check=False
        )
    said = [line for line in result.stderr.splitlines() if not line.endswith(UNKNOWN_TYPE)]
    if said or result.returncode != 0:
        sys.exit("\n".join(said) or "systemd-analyze ended with %d" % result.returncode)


def names(group):
    """The system calls of one of systemd's groups, and of those in it."""
    if not group.startswith("@"):
        return {group}
    result = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    # The first line is the group's own name; the second one says what it is.
    words = [line.strip() for line in result.stdout.splitlines()[1:]]
    return set().union(*(names(word) for word in words if word and not word.startswith("#")))


def allowed(unit):
    """The names of the system calls that the unit lets a program make."""
    result = names("@default")
    for value in settings(unit, "SystemCallFilter"):
        groups = set().union(*map(names, value.lstrip("~").split()))
        result = result - groups if value.startswith("~") else result | groups
    return result


def confine(calls):
    """Has this process killed by any other call."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL)))
    count = 0
    actions = dict.fromkeys(calls, ALLOW)
    if os.geteuid() == 0:
        # SQLite gives files away where it runs as root, which units do not do.
        actions.update({name: REFUSE for name in names("@chown") - calls})
    for name, action in actions.items():
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Below zero are the calls that this machine does not have.
        if number >= 0 and library.seccomp_rule_add(context, ctypes.c_uint32(action), number, 0) == 0:
            count += 1
    if count < 100 or library.seccomp_load(context) != 0:
        sys.exit("the filter of %d system calls was not taken" % count)


def execute(unit, program, arguments):
    """Becomes the program."""
    places = {"%i": "node-1", "%S": os.environ["STATE_DIRECTORY"]}
    for assignment in settings(unit, "Environment"):
        for place, value in places.items():
            assignment = assignment.replace(place, value)
        name, _, value = assignment.partition("=")
        os.environ[name] = value
    confine(allowed(unit))
    os.execv(program, [program] + arguments)


def main():
    command, unit, program = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    if command == "verify":
        verify(unit, program)
    else:
        execute(unit, program, sys.argv[4:])


if __name__ == "__main__":
    main()
