#!/usr/bin/env python3
"""The parts of scripts/power-loss that need more than a shell: the server, the checks, the comparison.

The log of a disk has one line for each thing that happened, in order, over all boots of the machine:
  boot, cut HABIT       written outside
  asked NUMBER STATUS SECONDS   the server was asked for a picture, so long after the boot
  recorded COUNT        so many outcomes were in the catalogue, for whoever reads it
  check JSON            what was found after a boot, and at the end
  state JSON            what must not depend on cuts
"""

import asyncio
import functools
import hashlib
import json
import os
import random
import sqlite3
import struct
import sys
import time
import zlib
from pathlib import Path

PORT = 8080
HOSTS = 100
# Blocks of photographs that pages are answered with: some pages show the same ones.
BLOCKS, PAGE, PAGES = 60, 40, 3
FACE_LEFT, FACE_TOP, FACE_SIDE = 140, 30, 160


def settings():
    print(f"""contact = "lab@example.org"
[[provider]]
kind = "pexels"
base_url = "http://127.0.0.1:{PORT}"
pause_ms = 0
daily_budget = 1000000
max_results = {PAGE * PAGES}
[fetch]
concurrency = 32
per_host = 4
pause_ms = 0
open_networks = ["127.0.0.0/8"]""")


def address(number):
    return f"http://127.1.0.{number % HOSTS + 1}:{PORT}/photo/{number}.png"


def number_of(url):
    return int(url.rsplit("/", 1)[1].removesuffix(".png"))


def picture(number):
    """Of ten photographs the last three lie elsewhere, too, so that some are stored again long after they were recorded."""
    seed = number % (BLOCKS * PAGE // 2) if number % 10 > 6 else number
    if seed // HOSTS % 20 == 7:
        brighter = bytes(min(255, value + seed % 97) for value in range(256))
        return png(FACE_SIDE, FACE_SIDE, face().translate(brighter))
    return png(64, 48, random.Random(seed).randbytes(64 * 48 * 3))


def png(width, height, pixels):
    rows = b"".join(b"\0" + pixels[y * width * 3 : (y + 1) * width * 3] for y in range(height))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


@functools.cache
def face():
    """The astronaut's face, out of a PNG of 8-bit RGB, line by line (its section 9)."""
    file = Path(__file__).parent.parent.joinpath("crates/affectory/assets/astronaut.png").read_bytes()
    at, width, packed = 8, int.from_bytes(file[16:20], "big"), b""
    while at < len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        if file[at + 4 : at + 8] == b"IDAT":
            packed += file[at + 8 : at + 8 + length]
        at += length + 12
    lines, stride = zlib.decompress(packed), width * 3
    above, pixels = bytes(stride), b""
    for y in range(FACE_TOP + FACE_SIDE):
        kind, *line = lines[y * (stride + 1) : (y + 1) * (stride + 1)]
        for x in range(stride):
            left, up, corner = (line[x - 3], above[x], above[x - 3]) if x > 2 else (0, above[x], 0)
            by = left + up - corner
            nearest = min((abs(by - left), 0, left), (abs(by - up), 1, up), (abs(by - corner), 2, corner))[2]
            line[x] = line[x] + (0, left, up, (left + up) // 2, nearest)[kind] & 255
        above = line
        if y >= FACE_TOP:
            pixels += bytes(line[FACE_LEFT * 3 : (FACE_LEFT + FACE_SIDE) * 3])
    return pixels


def page(path):
    """The same for the same request, whenever it comes."""
    first = zlib.crc32(path.encode()) % BLOCKS * PAGE
    photos = [
        {
            "id": number,
            "url": f"https://pages.example/{number}",
            "photographer": "somebody",
            "alt": "a face",
            "src": {"original": address(number)},
        }
        for number in range(first, first + PAGE)
    ]
    return {"photos": photos, "total_results": PAGE * PAGES, "next_page": "https://api.example/next"}


def fails_once(number):
    return number // HOSTS % 20 == 4 and number % 4 == 0


def say(*words):
    """In one write, which the machine's serial line takes at once: what was said before a cut is outside."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def lines_of(log):
    for line in Path(log).read_text(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest


def catalogue(project):
    return sqlite3.connect(f"file:{project}/catalog.sqlite?mode=ro", uri=True, timeout=60)


async def serve(project, log):
    failed = {int(rest.split()[0]) for word, rest in lines_of(log) if word == "asked" and " 503 " in rest}

    def answer(path):
        if path.startswith("/v1/search"):
            return 200, json.dumps(page(path)).encode()
        if not path.startswith("/photo/"):
            return 404, b""
        number = number_of(path)
        status, body = 200, b""
        kind = number // HOSTS % 20
        if kind == 3:
            status = 404
        elif fails_once(number) and number not in failed:
            failed.add(number)
            status = 503
        elif kind == 5:
            body = b"<!doctype html><title>no picture</title>"
        elif kind == 6:
            body = picture(number)[:20]
        else:
            body = picture(number)
        say("asked", number, status, f"{time.monotonic():.2f}")
        return status, body

    async def client(reader, writer):
        try:
            while first := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                status, body = answer(first.split()[1].decode())
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    # SQLite shows readers what its log on the disk has: an outcome that was seen must be there after a cut.
    async def watch():
        seen = 0
        while True:
            await asyncio.sleep(0.1)
            with catalogue(project) as database:
                (count,) = database.execute("select count(*) from candidate where outcome is not null").fetchone()
            if count != seen:
                say("recorded", count)
                seen = count

    server = await asyncio.start_server(client, "0.0.0.0", PORT, backlog=1000)
    async with server:
        await watch()


def check(project, log):
    """Looks at every row and object; the program itself has opened the catalogue before."""
    database = catalogue(project)
    problems = [row[0] for row in database.execute("pragma integrity_check") if row[0] != "ok"]
    problems += [f"foreign key {row}" for row in database.execute("pragma foreign_key_check")]
    n_objects = 0
    objects = """select sha256 from image where dropped_ms is null
                 union select crop_sha256 from face where crop_sha256 is not null"""
    for (sha256,) in database.execute(objects):
        path = Path(project, "objects", sha256[:2], sha256)
        n_objects += 1
        if not path.exists():
            problems.append(f"object {sha256} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            problems.append(f"object {sha256} has {path.stat().st_size} wrong bytes")
    outcomes, waiting = set(), []
    rows = "select url, state, attempts, image_id from candidate where outcome is not null"
    for url, state, attempts, image_id in database.execute(rows):
        number = number_of(url)
        if attempts > (2 if fails_once(number) else 1):
            problems.append(f"{url} has {attempts} outcomes")
        if (state == "fetched") != (image_id is not None):
            problems.append(f"{url} is {state} with image {image_id}")
        outcomes.add(number)
        if state == "new":
            waiting.append(number)
    # What was there for somebody to see, before the last cut or at the check before it.
    n_seen = max((int(rest) for word, rest in lines_of(log) if word == "recorded"), default=0)
    if len(outcomes) < n_seen:
        problems.append(f"{n_seen - len(outcomes)} outcomes are lost")
    asked = {int(rest.split()[0]) for word, rest in lines_of(log) if word == "asked"}
    found = {
        "objects": n_objects,
        "outcomes": len(outcomes),
        "unrecorded": sorted(asked - outcomes),
        "waiting": waiting,
        "problems": problems,
    }
    say("check", json.dumps(found))


def state(project, status, doctor):
    status = json.loads(Path(status).read_text())
    database = catalogue(project)
    queries = {
        "candidates": """select url, state, outcome, http_status, sha256 from candidate
                         left join image on image.id = image_id order by url""",
        "hits": """select query.language, query.text, search.slice, candidate.url, hit.rank, hit.engine, hit.page_url, hit.title
                   from hit join search on search.id = search_id join query on query.id = search.query_id
                   join candidate on candidate.id = hit.candidate_id order by 1, 2, 3, 4""",
        "pages": """select query.language, query.text, slice, state, n_pages, n_hits from search
                       join query on query.id = query_id order by 1, 2, 3""",
        "images": "select sha256, phash, phash_known, width, height, format, size_bytes, unusable from image order by 1",
        "faces": """select sha256, origin, face.x, face.y, face.width, face.height, crop_sha256 from face
                    join image on image.id = image_id order by 1, 2, 3, 4""",
        "scans": """select sha256, detector, status from face_scan join image on image.id = image_id order by 1""",
    }
    found = {name: database.execute(query).fetchall() for name, query in queries.items()}
    found |= {name: status[name] for name in ("outcomes", "searches", "yield")}
    found["counts"] = json.loads(Path(doctor).read_text())["project"]["counts"]
    # A cut leaves what was being written under a name of its own.
    found["objects"] = sorted(path.name for path in Path(project, "objects").glob("*/*") if len(path.name) == 64)
    say("state", json.dumps(found))


def write(name, is_flushed):
    with open(name, "wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        if is_flushed:
            os.fsync(file.fileno())


def control():
    write("before", False)
    write("flushed", True)
    write("after", False)
    with open("/dev/ttyS0", "w") as line:
        line.write("written\n")
    time.sleep(600)


def controlled():
    sizes = [Path(name).stat().st_size if Path(name).exists() else None for name in ("before", "flushed", "after")]
    words = ["missing" if size is None else f"{size} bytes" for size in sizes]
    is_right = not sizes[0] and sizes[1] == 100_000 and not sizes[2]
    say("control", f"written before an fsync: {words[0]}; with one: {words[1]}; after it: {words[2]};",
        "which is as it should be" if is_right else "which is NOT as it should be")


def table(folder):
    """Pictures to import, some with a face."""
    numbers = [*range(0, 60), *range(700, 720)]
    for number in numbers:
        Path(folder, f"{number}.png").write_bytes(picture(number))
    Path(folder, "labels.csv").write_text("image,expression\n" + "".join(f"{number}.png,happy\n" for number in numbers))


def imported(log):
    found = [json.loads(rest) for word, rest in lines_of(log) if word == "check"][-1]
    print(f"A cut after import and faces run: {found['objects']} objects; {len(found['problems'])} problems")
    sys.exit(1 if found["problems"] or not found["objects"] else 0)


def compare(calm_log, wild_log):
    """Says what each cut cost, and whether all is as without them."""
    problems, states = [], []
    for log in (calm_log, wild_log):
        found = [json.loads(rest) for word, rest in lines_of(log) if word == "state"]
        if not found:
            sys.exit(f"error: {log} has no end")
        states.append(found[-1])
        problems += [p for word, rest in lines_of(log) if word == "check" for p in json.loads(rest)["problems"]]
    # Numbers of pictures; with those of this boot, how they were answered and when.
    asked, asked_before, unrecorded, waiting = {}, set(), set(), set()
    n_cuts, n_again, after = 0, 0, ""
    for word, rest in lines_of(wild_log):
        if word == "cut":
            n_cuts, after = n_cuts + 1, rest
        elif word == "check" and after:
            found = json.loads(rest)
            unrecorded, waiting = set(found["unrecorded"]), set(found["waiting"])
            times = [seconds for _, seconds in asked.values()]
            ages = [max(times) - asked[number][1] for number in unrecorded if number in asked]
            print(
                f"cut {n_cuts:2} ({after:5}): {found['outcomes']:5} outcomes, {found['objects']:5} objects, "
                f"{len(unrecorded):3} asked for and not recorded, the oldest {max(ages, default=0):.1f} s before; "
                f"{len(found['problems'])} problems"
            )
            asked_before |= asked.keys()
            asked, after = {}, ""
        elif word == "asked":
            number, status, seconds = rest.split()
            number = int(number)
            if number in asked:
                is_due = asked[number][0] == "503"
            else:
                is_due = number not in asked_before or number in unrecorded or number in waiting
            if not is_due:
                problems.append(f"{address(number)} was asked for again although its outcome was recorded")
            n_again += number in unrecorded
            unrecorded.discard(number)
            asked[number] = (status, float(seconds))
    calm, wild = states
    for name in calm:
        if calm[name] != wild[name]:
            problems.append(f"{name} differ")
    for problem in problems[:20]:
        print(f"problem: {problem}")
    print(
        f"{n_cuts} cuts: {len(wild['candidates'])} addresses, {len(wild['hits'])} hits, {len(wild['objects'])} objects; "
        f"{n_again} asked for again, {len(problems)} problems; "
        + ("as without a cut" if calm == wild else "NOT as without a cut")
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    command, *words = sys.argv[1:]
    result = globals()[command](*words)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
