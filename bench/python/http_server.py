"""Python's own server, as its documentation shows it: a handler, and a thread for each connection.

python3 http_server.py PORT serves on 127.0.0.1 until the process is killed, and logs nothing.
"""

import http.server
import sys

PAGE = b"<html><body>Hello World</body></html>\r\n\r\n"


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds with Hello World, and keeps the connection open for the next request, as HTTP/1.1 does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """Logs nothing."""


class Server(http.server.ThreadingHTTPServer):
    """The default backlog is 5 connections, which is too few for the benchmark."""

    request_queue_size = 1024

    def handle_error(self, *_):
        """Prints no page of text about a client that leaves in the middle."""


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
