"""A proxy that answers 503 or resets connections at first, then passes everything on."""

import socket
import sys
import threading

SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0\0"[:8]


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


def serve(client, upstream, fault):
    if fault == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    elif fault == "503":
        client.recv(65536)
        client.sendall(SLOW_DOWN)
    else:
        server = socket.create_connection(("127.0.0.1", upstream))
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        pump(server, client)
    client.close()


def main(port, upstream, nr_faults):
    listening = socket.create_server(("127.0.0.1", port))
    faults = iter(["503", "reset"] * (nr_faults // 2))
    while True:
        client, _ = listening.accept()
        work = (client, upstream, next(faults, None))
        threading.Thread(target=serve, args=work, daemon=True).start()


main(*map(int, sys.argv[1:]))
