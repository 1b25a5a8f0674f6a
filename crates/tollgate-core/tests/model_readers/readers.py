"""Reads bodies as servers do that are written in Python, in Go, and in C++ with a reader that keeps the first of
two members, and tells of each that would run as another model than it was let in for.

Usage: readers.py FILE

FILE has records: the length of a name (4 bytes, big endian), the name, and the same of a body. Prints a line of
JSON for each reader and body that differ, and one with how many bodies each reader took.
"""

import json
import sys


class Refused(Exception):
    """The server answers with an error."""


def python(body):
    # As Starlette does it: json.loads of bytes, which looks for the encoding.
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused from error
    return model_of(value)


def first(body):
    # RapidJSON's FindMember, for one, finds the first.
    def pairs(members):
        value = {}
        for name, member in members:
            value.setdefault(name, member)
        return value

    try:
        value = json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Refused from error
    return model_of(value)


def model_of(value):
    if not isinstance(value, dict):
        raise Refused
    model = value.get("model")
    if model is not None and not isinstance(model, str):
        raise Refused
    return model


BLANKS = b" \t\r\n"
DIGITS = b"0123456789"
ESCAPES = {ord(a): b for a, b in zip('"\\/bfnrt', '"\\/\b\f\n\r\t')}
MAX_DEPTH = 10000


class Go:
    """encoding/json: decodes into a struct with a field of the name "model".

    A key is the field's name exactly, or else folded; each that comes is assigned, in their order; null assigns
    nothing; another type is an error. In strings, bytes that are no UTF-8 and halves of surrogate pairs become
    U+FFFD.
    """

    def __init__(self, body):
        self.body = body
        self.at = 0

    def model(self):
        self.blanks()
        if self.peek() != ord("{"):
            self.value(0)
            raise Refused
        model = None
        for name in self.members(0):
            value = self.value(1)
            if fold(name) != "MODEL":
                continue
            if isinstance(value, str):
                model = value
            elif value is not None:
                raise Refused
        self.blanks()
        if self.at < len(self.body):
            raise Refused
        return model

    def peek(self):
        if self.at >= len(self.body):
            raise Refused
        return self.body[self.at]

    def take(self, expected):
        if self.peek() != expected:
            raise Refused
        self.at += 1

    def blanks(self):
        while self.at < len(self.body) and self.body[self.at] in BLANKS:
            self.at += 1

    def members(self, depth):
        self.take(ord("{"))
        if depth >= MAX_DEPTH:
            raise Refused
        self.blanks()
        if self.peek() == ord("}"):
            self.at += 1
            return
        while True:
            self.blanks()
            name = self.string()
            self.blanks()
            self.take(ord(":"))
            yield name
            self.blanks()
            if self.peek() == ord("}"):
                self.at += 1
                return
            self.take(ord(","))

    def value(self, depth):
        """A string is itself, null is None; of anything else it matters only that it is something."""
        self.blanks()
        byte = self.peek()
        if byte == ord('"'):
            return self.string()
        if byte == ord("{"):
            for _ in self.members(depth):
                self.value(depth + 1)
            return ()
        if byte == ord("["):
            if depth >= MAX_DEPTH:
                raise Refused
            self.at += 1
            self.blanks()
            if self.peek() == ord("]"):
                self.at += 1
                return ()
            while True:
                self.value(depth + 1)
                self.blanks()
                if self.peek() == ord("]"):
                    self.at += 1
                    return ()
                self.take(ord(","))
        for word, value in ((b"null", None), (b"true", ()), (b"false", ())):
            if self.body.startswith(word, self.at):
                self.at += len(word)
                return value
        self.number()
        return ()

    def number(self):
        if self.peek() == ord("-"):
            self.at += 1
        if self.peek() == ord("0"):
            self.at += 1
        else:
            self.digits()
        if self.at < len(self.body) and self.body[self.at] == ord("."):
            self.at += 1
            self.digits()
        if self.at < len(self.body) and self.body[self.at] in b"eE":
            self.at += 1
            if self.peek() in b"+-":
                self.at += 1
            self.digits()

    def digits(self):
        if self.peek() not in DIGITS:
            raise Refused
        while self.at < len(self.body) and self.body[self.at] in DIGITS:
            self.at += 1

    def string(self):
        self.take(ord('"'))
        parts, raw = [], bytearray()
        while True:
            byte = self.peek()
            self.at += 1
            if byte == ord('"'):
                break
            if byte < 0x20:
                raise Refused
            if byte != ord("\\"):
                raw.append(byte)
                continue
            parts.append(utf8(raw))
            raw = bytearray()
            escape = self.peek()
            self.at += 1
            if escape in ESCAPES:
                parts.append(ESCAPES[escape])
            elif escape == ord("u"):
                parts.append(self.unicode())
            else:
                raise Refused
        parts.append(utf8(raw))
        return "".join(parts)

    def unicode(self):
        unit = self.hex()
        if not 0xD800 <= unit < 0xE000:
            return chr(unit)
        if unit < 0xDC00 and self.body[self.at : self.at + 2] == b"\\u":
            before = self.at
            self.at += 2
            low = self.hex()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            # It is read for itself.
            self.at = before
        return "\ufffd"

    def hex(self):
        digits = self.body[self.at : self.at + 4]
        if len(digits) < 4 or any(digit not in b"0123456789abcdefABCDEF" for digit in digits):
            raise Refused
        self.at += 4
        return int(digits, 16)


def utf8(raw):
    # As many U+FFFD as Go has, or fewer: what matters is that they are there.
    return bytes(raw).decode("utf-8", "replace")


def fold(name):
    """Simple case folding; what folds to ASCII beside ASCII are LONG S and KELVIN SIGN."""
    table = {0x17F: "S", 0x212A: "K"}
    return "".join(
        table.get(ord(c), c.upper() if c.isascii() else c) for c in name
    )


def go(body):
    try:
        return Go(body).model()
    except RecursionError as error:
        raise Refused from error


def main():
    readers = {"python": python, "first": first, "go": go}
    taken = dict.fromkeys(readers, 0)
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    at = 0

    def field():
        nonlocal at
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        text = data[at + 4 : end]
        at = end
        return text

    while at < len(data):
        name, body = field().decode(), field()
        for reader, read in readers.items():
            try:
                model = read(body)
            except Refused:
                continue
            taken[reader] += 1
            if model != name:
                print(json.dumps({"reader": reader, "let in": name, "runs": ascii(model), "body": repr(body)}))
    print(json.dumps({"taken": taken}))


main()
