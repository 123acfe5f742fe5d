"""Compares examples/dependencies with dask, on the packages that apt-cache dumpavail lists.

Usage: packages.py AVAILABLE PROGRAM
"""

import re
import subprocess
import sys
import tempfile

import dask

ROOTS = ["libreoffice", "gnome", "texlive-full", "chromium", "bash", "libc6"]
EXECUTORS = ["inline", "threads:2", "processes:2"]


def packages_of(path):
    """Returns the size and the dependencies of each package, of alternatives the first that exists."""
    packages, providers = {}, {}
    with open(path, encoding="utf-8") as file:
        paragraphs = file.read().split("\n\n")
    for paragraph in paragraphs:
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if "Package" not in fields:
            continue
        name = fields["Package"]
        needs = fields.get("Pre-Depends", "") + "," + fields.get("Depends", "")
        packages.setdefault(name, (int(fields.get("Installed-Size", 0)), needs))
        for provided in fields.get("Provides", "").split(","):
            providers.setdefault(name_of(provided), name)

    def needed(alternatives):
        for name in map(name_of, alternatives.split("|")):
            name = name if name in packages else providers.get(name)
            if name:
                return name

    def all_needed(name, needs):
        found = {needed(part) for part in needs.split(",") if part.strip()}
        return sorted(found - {None, name})

    return {name: (size, all_needed(name, needs)) for name, (size, needs) in packages.items()}


def name_of(dependency):
    return re.split(r"[ (:\[]", dependency.strip(), maxsplit=1)[0]


def components_of(packages):
    """Returns the strongly connected component of each package, by the algorithm of Kosaraju without recursion."""
    order, seen = [], set()
    for root in packages:
        stack = [(root, iter([root]))]
        while stack:
            name, needs = stack[-1]
            need = next((need for need in needs if need not in seen), None)
            if need is None:
                stack.pop()
                if stack:
                    order.append(name)
            else:
                seen.add(need)
                stack.append((need, iter(packages[need][1])))
    users = {name: [] for name in packages}
    for name, (_, needs) in packages.items():
        for need in needs:
            users[need].append(name)
    component = {}
    for root in reversed(order):
        stack = [root]
        while stack:
            name = stack.pop()
            if name not in component:
                component[name] = root
                stack.extend(users[name])
    return component


def without_cycles(packages, component):
    """Returns the graph of the components, under the name of one of their packages."""
    graph = {root: (0, set()) for root in component.values()}
    for name, (size, needs) in packages.items():
        root = component[name]
        so_far, all_needs = graph[root]
        graph[root] = (so_far + size, all_needs | {component[need] for need in needs} - {root})
    return {root: (size, sorted(needs)) for root, (size, needs) in graph.items()}


def close(own, needs):
    chain = 1 + max((chain for chain, _ in needs), default=0)
    return chain, {own[0]: own[1]}.items() | set().union(*(packages for _, packages in needs))


def by_dask(graph, roots):
    # The name of a package would stand for its own value.
    numbered = enumerate(graph.items())
    tasks = {root: (close, (n, size), list(needs)) for n, (root, (size, needs)) in numbered}
    for root, (chain, packages) in zip(roots, dask.get(tasks, roots)):
        yield f"{root} {chain} {len(packages)} {sum(size for _, size in packages)}"


def written(graph, file):
    for name, (size, needs) in graph.items():
        print(name, size, *needs, file=file)
    file.flush()
    return file.name


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def main(available, program):
    packages = packages_of(available)
    component = components_of(packages)
    graph = without_cycles(packages, component)
    roots = [component[root] for root in ROOTS]
    expected = list(by_dask(graph, roots))
    print(f"{len(packages)} packages, {len(graph)} components")
    print("\n".join(expected))
    with tempfile.NamedTemporaryFile("w") as file:
        path = written(graph, file)
        for executor in EXECUTORS:
            for memory in ["1GiB", "16MiB"]:
                ran = run(program, "--executor", executor, "--memory", memory, path, *roots)
                if ran.stdout.splitlines() != expected:
                    sys.exit(f"{executor}, {memory}: {ran.stdout}{ran.stderr}")
    with tempfile.NamedTemporaryFile("w") as file:
        ran = run(program, written(packages, file), "libreoffice")
        check_cycle(packages, ran)


def check_cycle(packages, ran):
    """Checks that the program has named a cycle: its first few packages, or all."""
    cycle = re.search(r"it needs itself: (.*)", ran.stderr)
    if ran.returncode != 1 or not cycle:
        sys.exit(f"no error about a cycle: {ran.stderr}")
    print(cycle[0])
    names = re.findall(r'"(.*?)"', cycle[1])
    if "others" in cycle[1]:
        names.pop()
    elif names[0] != names[-1]:
        sys.exit("this is no cycle")
    for name, need in zip(names, names[1:]):
        if need not in packages[name][1]:
            sys.exit(f"{name} does not need {need}")


main(*sys.argv[1:])
