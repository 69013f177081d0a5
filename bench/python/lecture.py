"""The server of the lecture: create, bind, listen; then accept, read, write, close, one connection after the other.

python3 lecture.py PORT serves on 127.0.0.1 until the process is killed. The lecture prints the first line of each
request. This server does not, because the benchmark would measure the terminal.
"""

import socket
import sys

ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n"
    b"\r\n"
    b"<html><body>Hello World</body></html>\r\n\r\n"
)

phone = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
# The server can then be restarted at once.
phone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
phone.bind(("127.0.0.1", int(sys.argv[1])))
# The backlog of the lecture is 5 connections. Further clients would try again after a second, and the benchmark would
# measure that second, not the server.
phone.listen(1024)
while True:
    caller, _ = phone.accept()
    try:
        caller.recv(5000)
        caller.sendall(ANSWER)
        caller.shutdown(socket.SHUT_WR)
    except OSError:
        # A client that leaves before the response is no reason to stop.
        pass
    caller.close()
