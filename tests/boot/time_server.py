"""A time server at an address, for a namespace of its own: python3 time_server.py ADDRESS"""
import socket
import sys

import world

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 123))
answer = world.clock().answer
while True:
    asked, peer = server.recvfrom(2048)
    server.sendto(answer(asked), peer)
