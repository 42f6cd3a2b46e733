"""Scenarios of every family, drawn from a `random.Random`."""

ACCESSES = (1, 4, 5, 6, 7)
HUGE, GIB = 512, 512 * 512


def draw_scenario(random):
    """A scenario as decoded JSON. Small enough for the reference machine to take milliseconds."""
    family = random.choice((_plain, _plain, _prepared, _prepared, _gib))
    base = random.choice((0, 0, 512, 300, 262144 + 77))
    scenario = family(random, base)
    scenario["id"] = f"drawn-{family.__name__.strip('_')}"
    _caches(random, scenario)
    _disturb(random, scenario)
    return scenario


def _slot(base, npages):
    return {"base_gfn": base, "npages": npages}


def _first(base, size):
    return -(-base // size) * size


def _alias(random, sp):
    return [random.choice(ACCESSES[-random.randint(1, 5) :]), sp, random.choice((0, 0, 0, 1, 16))]


def _plain(random, base):
    pages, first = random.randint(1, 60), _first(base, HUGE)
    runs, lists, sp = [], [], 0
    for _ in range(random.randint(1, 4)):
        start, degree = random.randrange(pages), random.choice((1, 1, 2, 3, 5, 14, 15, 17, 29, 40))
        aliases = [_alias(random, sp + i) for i in range(degree)]
        random.shuffle(aliases)
        sp += degree
        if random.random() < 0.7:
            stride = random.randint(1, 3)
            count = random.randint(1, (pages - 1 - start) // stride + 1)
            runs.append([first + start * HUGE, count, 2, aliases, stride])
        else:
            chosen = random.sample(range(pages), random.randint(1, min(pages, 20)))
            lists.append([first, 2, aliases, chosen])
    npages = first - base + pages * HUGE + random.randint(0, 511)
    return {"memslot": _slot(base, npages), "runs": runs, "lists": lists}


def _prepared(random, base):
    """2M pages with 4K SPTEs, direct pages, zapped leaves and lists with holes."""
    first, pages = _first(base, HUGE), random.randint(1, 4)
    steps, mapped = [], []
    for page in range(pages):
        gfn = first + page * HUGE
        steps += [_low(random, gfn) for _ in range(random.randint(0, 30))]
        for sp in range(random.choice((1, 2, 4, 8, 20, 33))):
            access, _, rb = _alias(random, sp)
            steps.append({"gfn": gfn, "level": 2, "access": access, "sp": sp, "rb": rb})
    if random.random() < 0.5:
        random.shuffle(steps)
    ordered, used = [], {}
    for step in steps:
        _keep(random, step, ordered, used, mapped)
    return {"memslot": _slot(base, first - base + pages * HUGE), "mappings": ordered}


def _low(random, gfn):
    """A 4K SPTE; one address window of a group has one access, so that its links agree."""
    access, group = random.choice(ACCESSES), random.randint(0, 25)
    direct = random.randint(0, 1)
    sp = 300 + access if direct else 200 + group
    sp += 50 * (direct and random.random() < 0.3)  # another parent of the same direct page
    low = {"gfn": gfn + random.randrange(12), "level": 1, "access": access, "sp": sp}
    return low | {"direct": 1, "rb": random.choice((0, 0, 1))} if direct else low


def _keep(random, step, ordered, used, mapped):
    key = (step["gfn"], step["level"], step["sp"], step.get("rb", 0), step.get("direct", 0))
    if key in used:
        return
    used[key] = step
    ordered.append(step)
    if not 350 <= step["sp"] < 400:
        mapped.append(key)
    while mapped and random.random() < 0.3:
        key = mapped.pop(random.randrange(len(mapped)))
        gone = used.pop(key)
        ordered.append({"zap": 1} | {k: v for k, v in gone.items() if k != "access"})


def _gib(random, base):
    """1G pages over 2M and 4K SPTEs, with level 2 direct pages already partly filled."""
    first, count = _first(base, GIB), random.randint(1, 2)
    steps, mapped, used, ordered = [], [], {}, []
    for _ in range(random.randint(0, 40)):
        gfn = (
            first
            + random.randrange(count) * GIB
            + random.randrange(0, GIB, random.choice((9, 512)))
        )
        access = random.choice(ACCESSES)
        kind = random.randint(0, 3)
        one = {"access": access, "sp": 400 + access, "rb": 0}
        if kind == 0:
            steps.append(one | {"gfn": gfn, "level": 1, "direct": 2})
        elif kind == 1:
            steps.append(one | {"gfn": gfn // HUGE * HUGE, "level": 2, "direct": 1})
        elif kind == 2:
            sp = random.randint(0, 30)
            steps.append(one | {"gfn": gfn // HUGE * HUGE, "level": 2, "sp": 500 + sp})
        else:
            steps.append(one | {"gfn": gfn, "level": 1, "sp": 600})
    slots = set()
    for step in steps:
        slot = (step["gfn"] // HUGE, step["sp"])
        if step.get("direct") and slot in slots:
            continue
        slots.add(slot)
        _keep(random, step, ordered, used, mapped)
    aliases = [_alias(random, sp) for sp in range(random.choice((1, 1, 2, 3, 15, 16)))]
    runs = [[first, count, 3, aliases]]
    if random.random() < 0.5:
        ordered.insert(random.randint(0, len(ordered)), {"run": runs.pop()})
    tail = random.randint(0, 2000)
    return {
        "memslot": _slot(base, first - base + count * GIB + tail),
        "mappings": ordered,
        "runs": runs,
        "target_level": random.choice((1, 1, 2)),
        "events_limit": 0,
    }


def _caches(random, scenario):
    low = random.choice((513, 513, 513, 513, 600, 1, 2, 16, 100))
    scenario["desc_min"] = low
    scenario["desc_capacity"] = low + random.choice((0, 1, 40, 41, 511, 512, 513, 1500))
    scenario["object_capacity"] = random.choice((1, 2, 8, 40, 40, 40, 513))
    scenario["pte_list_ext"] = random.choice((14, 14, 2, 3))


def _disturb(random, scenario):
    base, npages = scenario["memslot"]["base_gfn"], scenario["memslot"]["npages"]
    if random.random() < 0.3:
        scenario["resched_at"] = random.sample(range(60), random.randint(1, 9))
        scenario["walker_resched_at"] = random.sample(range(60), random.randint(1, 9))
    if random.random() < 0.3:
        scenario["n_max_mmu_pages"] = random.randint(1, 150)
    if random.random() < 0.3:
        scenario["invalid_sps"] = [random.randint(0, 6) for _ in range(random.randint(1, 4))]
    if random.random() < 0.4:
        cuts = [sorted(random.sample(range(base, base + npages + 1), 2)) for _ in range(4)]
        scenario["ranges"] = cuts[: random.randint(1, 4)]
    if random.random() < 0.1:
        scenario["alloc_fail_at"] = random.randint(513, 20000)
        scenario["alloc_fail_len"] = random.choice((None, 0, 1, 700))
