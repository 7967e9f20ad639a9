"""Runs a server so that nothing of it outlives the test, whatever happens to the test.

  supervise.py [--remove FOLDER] COMMAND ARGUMENT...

Becomes the parent of everything that the server leaves behind (a daemon that forks twice, a session with a
process group of its own), so that it can end the whole tree by process id:

  standard input ends   SIGKILL to all of it, at once: what a power cut does. It ends by itself when the test
                        process dies, even by SIGKILL.
  SIGTERM               SIGTERM to the server, a wait for its end, SIGKILL to the rest
  the server ends       SIGKILL to the rest

Exits with the server's code. `--remove` deletes a folder at the end. Needs Linux (prctl, /proc) and the
standard library only.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 30
REAP_SECONDS = 10


def prctl(option, value):
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def parents():
    """{pid: parent's pid} of all processes that have not ended (proc(5), /proc/PID/stat)."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue  # it has ended meanwhile
            if state not in (b"Z", b"X"):
                found[int(name)] = int(parent)
    return found


def descendants():
    tree, found, level = parents(), [], [os.getpid()]
    while level:
        level = [pid for pid, parent in tree.items() if parent in level]
        found += level
    return found


def kill_all():
    """Repeated, because a process may fork while it is looked for."""
    deadline = time.monotonic() + REAP_SECONDS
    while time.monotonic() < deadline and (victims := descendants()):
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.002)


def reap_until(server):
    """Waits for the server and buries what it orphaned meanwhile."""
    while True:
        pid, status = os.wait()
        if pid == server:
            return os.waitstatus_to_exitcode(status)


def reap_all():
    """Nothing is left behind, not even a dead entry in the table of processes."""
    try:
        while os.wait():
            pass
    except ChildProcessError:
        return


def on_end_of_input(action):
    def wait():
        while os.read(0, 4096):
            pass
        action()

    threading.Thread(target=wait, daemon=True).start()


def main():
    arguments, folder = sys.argv[1:], None
    if arguments[0] == "--remove":
        folder, arguments = arguments[1], arguments[2:]
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = os.getpid()

    def tie_to_supervisor():
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)

    # What a terminal sends to the group ends the test process, and with it this one's input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, preexec_fn=tie_to_supervisor).pid

    def stop(*_):
        os.kill(server, signal.SIGTERM)
        timer = threading.Timer(STOP_SECONDS, kill_all)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, stop)
    on_end_of_input(kill_all)
    code = reap_until(server)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_all()
    reap_all()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
