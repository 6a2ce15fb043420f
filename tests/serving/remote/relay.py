"""A wire between a client and a server, which can be cut while an answer comes."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Relay:
    """Passes bytes both ways. `left`: how many of the server's are still let through, None for all;
    behind them both sides see the connection end.
    """

    def __init__(self, url):
        there = urlsplit(url)
        self.there = there.hostname, there.port
        self.left = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}{there.path}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        self.listener.close()

    def _listen(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            server = socket.create_connection(self.there)
            ends = (client, server)
            threading.Thread(target=self._pass, args=(client, server, ends), daemon=True).start()
            threading.Thread(target=self._answer, args=ends, daemon=True).start()

    def _pass(self, source, sink, ends):
        try:
            while said := source.recv(65536):
                sink.sendall(said)
        except OSError:
            pass
        finally:
            shut(ends)

    def _answer(self, client, server):
        try:
            while said := server.recv(65536):
                if self.left is None:
                    client.sendall(said)
                    continue
                client.sendall(said[: self.left])
                self.left -= len(said[: self.left])
                if not self.left:
                    break
        except OSError:
            pass
        finally:
            shut((client, server))


def shut(ends):
    """Both sides are told at once, also where another thread waits for one of them."""
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
