"""A client over JSON-RPC in Python, with nothing but its standard library. Run by `npm run examples`, from the directory of the checkout."""
import json
import os
import queue
import subprocess
import threading


class Failed(Exception):
    """An error that a method answered with."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.number, self.data = error["code"], error.get("data") or {}


class Client:
    """One server. Requests may be made from several threads."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.writing, self.last_id = threading.Lock(), 0
        self.answers, self.listeners = {}, {}
        threading.Thread(target=self._read, daemon=True).start()

    def begin(self, method, **params):
        """Sends a request; `finish` waits for its answer."""
        with self.writing:
            self.last_id += 1
            id, self.answers[self.last_id] = self.last_id, queue.Queue()
        self._send(id=id, method=method, params=params)
        return id

    def finish(self, id):
        message = self.answers[id].get(timeout=60)
        del self.answers[id]
        if "error" in message:
            raise Failed(message["error"])
        return message["result"]

    def call(self, method, **params):
        return self.finish(self.begin(method, **params))

    def cancel(self, id):
        self._send(method="$/cancelRequest", params={"id": id})

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)

    def _send(self, **message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self.writing:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self.process.stdin.flush()

    def _read(self):
        stdout = self.process.stdout
        while line := stdout.readline():
            length = int(line.partition(b":")[2])  # the server sends no other header
            stdout.readline()
            message = json.loads(stdout.read(length))
            if message.get("method") == "$/progress":
                self.listeners[message["params"]["token"]](message["params"]["value"])
            elif message.get("id") in self.answers:
                self.answers[message["id"]].put(message)


# An installed one is called `cellwall`. It ends with us, however we end.
client = Client("node", "dist/src/main.js", "--stdio", f"--clientProcessId={os.getpid()}", "--log-level", "warn")
info = client.call("server.info")
print(f"{info['name']} {info['version']} with the policies {', '.join(info['policies'])}")

sandbox = {"sandbox_id": client.call("sandbox.create", context="none")["sandbox_id"]}

# Output comes while the command runs, and all of it before the answer.
parts = []
client.listeners["steps"] = parts.append
result = client.call("sandbox.exec", **sandbox, command='for n in 1 2 3; do echo "step $n"; sleep 0.3; done; exit 3', progress_token="steps")
assert (result["status"], result["exit_code"]) == ("exited", 3), result
assert "".join(part["text"] for part in parts) == result["stdout"] == "step 1\nstep 2\nstep 3\n", parts
assert len(parts) > 1, "it came at once"
print(f"{len(parts)} parts of output came before the answer")

# A cancelled command is gone with all that it started.
begun = threading.Event()
client.listeners["endless"] = lambda part: begun.set()
endless = client.begin("sandbox.exec", **sandbox, command="sleep 1000 & echo begun; sleep 1000", progress_token="endless")
assert begun.wait(30)
client.cancel(endless)
try:
    raise SystemExit(f"it was not cancelled: {client.finish(endless)}")
except Failed as failed:
    assert (failed.number, failed.data["code"]) == (-32800, "CANCELED"), failed.data
assert "sleep" not in client.call("sandbox.exec", **sandbox, command="cat /proc/[0-9]*/comm")["stdout"]
print("what was cancelled is gone")

# A command that asks: it is started, left running, and answered.
asking = client.call("sandbox.exec", **sandbox, command='read -r name; echo "hello $name"', keep_stdin=True, wait_ms=0)
assert asking["status"] == "running", asking
answered = client.call("sandbox.wait", **sandbox, exec_id=asking["exec_id"], stdin="world\n")
assert (answered["status"], answered["stdout"]) == ("exited", "hello world\n"), answered
print(answered["stdout"].strip())

# An error has a number, and says what to do.
try:
    raise SystemExit(f"it was there: {client.call('sandbox.read', **sandbox, path='no/such/file')}")
except Failed as failed:
    assert (failed.number, failed.data["code"]) == (1301, "PATH_NOT_FOUND"), failed.data
    print(f"{failed.data['code']}: {failed.data['hint']}")

assert client.call("sandbox.destroy", **sandbox) == {"destroyed": True}
assert client.close() == 0
