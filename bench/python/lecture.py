"""The server of the lecture: create, bind, listen; then pick up, hear, answer, hang up, one caller after the other.

python3 lecture.py PORT serves on 127.0.0.1 until it is ended. The lecture prints the first line of each request, which
is left out here: it would be the terminal that is measured.
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
# So that it can be started again at once.
phone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
phone.bind(("127.0.0.1", int(sys.argv[1])))
# The lecture lets 5 callers wait in line. With more than that the others would call again after a second, and that
# second would be measured, not the server.
phone.listen(1024)
while True:
    caller, _ = phone.accept()
    try:
        caller.recv(5000)
        caller.sendall(ANSWER)
        caller.shutdown(socket.SHUT_WR)
    except OSError:
        # Who left before hearing the answer is no reason to stop.
        pass
    caller.close()
