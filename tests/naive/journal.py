"""The slow, obvious twin of `oddlog.sources.journal`: one field of one entry after the other."""


def entries_of(data: bytes) -> list[dict[str, bytes]]:
    """Return the fields of every entry of a journal in its export form; the last of a name counts."""
    entries, fields, at = [], {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        line = data[at:end]
        at = end + 1
        if not line:
            if fields:
                entries.append(fields)
            fields = {}
        elif b"=" in line:
            name, _, value = line.partition(b"=")
            fields[name.decode()] = value
        else:
            size = int.from_bytes(data[at : at + 8], "little")
            fields[line.decode()] = data[at + 8 : at + 8 + size]
            at += 8 + size + 1  # a line end stands behind the value
    return [*entries, fields] if fields else entries
