"""Processes that end with this one."""

import os
import threading

from ex4d_core import processes
from ex4d_core.processes import end_with_parent, join_or_kill, start_process
from tests.helpers.forked import forking


def answer(connection, number):
    end_with_parent()
    connection.send(number)


def test_threads_that_start_processes_at_once_leave_the_environment_as_it_was(monkeypatch):
    monkeypatch.setattr(processes, "_CONTEXT", forking())
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    answers = []

    def ask(number: int) -> None:
        for _ in range(4):
            process, connection = start_process(answer, number, name="test")
            answers.append(connection.recv())
            join_or_kill(process)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(4 * list(range(4)))
    assert "PYTHONSAFEPATH" not in os.environ
