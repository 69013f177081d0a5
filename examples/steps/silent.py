# Clients that connect, and say nothing until the server hangs up: python3 examples/steps/silent.py 500
import socket
import sys

calls = [socket.create_connection(("127.0.0.1", 9000)) for _ in range(int(sys.argv[1]))]
for call in calls:
    call.recv(1)
