#!/bin/sh
# send.sh HOST PORT WORD: asks a web server for /WORD, with whatever this machine has. Exit code 3 when it has nothing that can.
host=$1 port=$2 word=$3
echo "sending \"$word\" to $host:$port"
if command -v curl >/dev/null; then
  exec curl --silent --show-error --noproxy '*' --max-time 5 "http://$host:$port/$word"
elif command -v python3 >/dev/null; then
  exec python3 -c '
import socket, sys
host, port, word = sys.argv[1:]
with socket.create_connection((host, int(port)), 5) as server:
    server.sendall(f"GET /{word} HTTP/1.0\r\n\r\n".encode())
    print(server.recv(9999).decode())
' "$host" "$port" "$word"
elif command -v bash >/dev/null; then
  exec bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /%s HTTP/1.0\r\n\r\n" "$2" >&3 && cat <&3' "$host" "$port" "$word"
fi
echo 'neither curl nor python3 nor bash is here'
exit 3
