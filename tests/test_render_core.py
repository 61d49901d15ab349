"""Behaviour of the renderer: what every picture must satisfy, whoever is on it."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from fer_lib.errors import FerError
from fer_lib.render import muscles, paint
from fer_lib.render.assets import HAIR, SKIN, catmull_clark, head
from fer_lib.render.person import Person
from fer_lib.render.scene import Shot, render, supported_aus

RIGHT_EYE, LEFT_EYE, MOUTH_CORNERS, BROWS = slice(36, 42), slice(42, 48), [48, 54], slice(17, 27)

DIGEST = """
import hashlib, numpy as np
from fer_lib.render.person import Person
from fer_lib.render.scene import Shot, render
frame = render(Person(7), {12: 0.8, "14L": 0.5}, Shot.draw(np.random.default_rng(3)), size=64)
print(hashlib.sha256(frame.image.tobytes() + frame.landmarks.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def person():
    return Person(7)


@pytest.fixture(scope="module")
def shot():
    return Shot.draw(np.random.default_rng(3))


@pytest.fixture(scope="module")
def straight(shot):
    """A shot without rotation, so that up is up."""
    return replace(shot, pose=(0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def neutral(person, straight):
    return render(person, {}, straight)


def landmarks_with(person, straight, aus):
    return render(person, aus, straight, size=64).landmarks * 4 + 1.5  # in pixels of the 256 picture


def test_same_arguments_give_the_same_bytes_in_another_process(person, shot):
    frame = render(person, {12: 0.8, "14L": 0.5}, shot, size=64)
    here = hashlib.sha256(frame.image.tobytes() + frame.landmarks.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_picture_and_landmarks_are_well_formed(neutral):
    assert neutral.image.shape == (256, 256) and neutral.image.dtype == np.uint8
    assert neutral.landmarks.shape == (68, 2) and neutral.landmarks.dtype == np.float32
    assert ((neutral.landmarks > 0) & (neutral.landmarks < 255)).all()
    face = neutral.image[80:180, 90:165]
    assert 40 < face.mean() < 230 and face.std() > 10  # neither black, white nor flat


def test_landmarks_stand_in_the_order_of_the_68_points(neutral):
    points = neutral.landmarks
    assert points[RIGHT_EYE, 0].max() < points[LEFT_EYE, 0].min()  # the person's right is left in the picture
    assert points[0, 0] < points[16, 0] and points[8, 1] == points[:, 1].max()
    assert points[BROWS, 1].max() < points[30, 1] < points[51, 1] < points[57, 1] < points[8, 1]
    assert points[48, 0] < points[54, 0]
    assert (np.diff(points[3:14, 0]) > 0).all()


def test_a_smaller_picture_shows_the_same_face(person, straight, neutral):
    small = render(person, {}, straight, size=64)
    assert np.allclose((small.landmarks + 0.5) * 4, neutral.landmarks + 0.5, atol=0.01)
    shrunk = neutral.image.reshape(64, 4, 64, 4).mean((1, 3))
    assert np.corrcoef(small.image.ravel(), shrunk.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("size", [64])
@pytest.mark.parametrize(
    ("au", "points", "direction"),
    [
        (1, [20, 21, 22, 23], (0, -1)),
        (2, [17, 18, 25, 26], (0, -1)),
        (4, [20, 21, 22, 23], (0, 1)),
        (5, [37, 38, 43, 44], (0, -1)),
        (12, [48, 54], (0, -1)),
        (15, [48, 54], (0, 1)),
        (26, [8], (0, 1)),
        (27, [8], (0, 1)),
    ],
)
def test_units_move_their_part_of_the_face(person, straight, neutral, au, points, direction, size):
    moved = render(person, {au: 1.0}, straight, size=size).landmarks * 4 + 1.5 - neutral.landmarks
    along = moved[points] @ np.array(direction)
    assert (along > 0.5).all()
    rest = np.linalg.norm(moved, axis=1)
    assert rest.max() <= 2.5 * np.linalg.norm(moved[points], axis=1).max()


def test_a_smile_widens_and_a_dropped_jaw_opens_the_mouth(person, straight, neutral):
    before, smile = neutral.landmarks, landmarks_with(person, straight, {12: 1})
    assert np.ptp(smile[MOUTH_CORNERS, 0]) > np.ptp(before[MOUTH_CORNERS, 0]) + 1
    gaps = [np.diff(landmarks_with(person, straight, {au: 1})[[62, 66], 1])[0] for au in (25, 26, 27)]
    closed = np.diff(before[[62, 66], 1])[0]
    assert closed < gaps[0] and closed < gaps[1] < gaps[2]


def test_closing_the_eyes_brings_the_lids_together(person, straight, neutral):
    def opening(points):
        return points[41, 1] - points[37, 1]

    assert opening(landmarks_with(person, straight, {43: 1})) < 0.5 * opening(neutral.landmarks)


def test_a_one_sided_unit_leaves_the_other_side_still():
    x = head().mean[:, 0]
    for code, still in (("14L", x < -0.07), ("14R", x > 0.07)):
        moved = np.linalg.norm(muscles.offset(code), axis=1)
        assert moved[still].max() == 0 and moved.max() > 0.01


def test_the_two_sides_make_up_the_whole():
    for au in (1, 12, 14):
        both = muscles.offset(f"{au}L") + muscles.offset(f"{au}R")
        assert np.allclose(both, muscles.offset(au), atol=1e-9)


def test_a_one_sided_smile_lifts_the_persons_left_corner(person, straight, neutral):
    moved = landmarks_with(person, straight, {"12L": 1}) - neutral.landmarks
    assert moved[54, 1] < -1 and abs(moved[48]).max() < 0.3


def test_movement_grows_with_intensity(person, straight, neutral):
    for au in (1, 12, 27):
        sizes = [
            np.linalg.norm(landmarks_with(person, straight, {au: level}) - neutral.landmarks)
            for level in (0.2, 0.6, 1.0)
        ]
        assert (np.diff(sizes) > 0).all()


def test_every_unit_changes_the_picture_and_has_a_region(person, straight, neutral):
    calm = render(person, {}, straight, size=48)
    for au in supported_aus():
        frame = render(person, {au: 1.0}, straight, size=48)
        region = frame.region(au)
        assert region.shape == (48, 48) and region.dtype == np.float32
        assert region.min() >= 0 and 0.4 < region.max() <= 1.01
        change = abs(frame.image.astype(float) - calm.image)
        assert change[region > 0.25].mean() > 2 * change[region < 0.02].mean()


@pytest.mark.parametrize(
    ("au", "points"),
    [(1, range(19, 25)), (5, range(36, 48)), (12, range(48, 68)), (15, range(48, 68)), (27, range(48, 68))],
)
def test_regions_lie_at_their_landmarks(neutral, au, points):
    region = neutral.region(au)
    y, x = np.unravel_index(region.argmax(), region.shape)
    assert np.linalg.norm(neutral.landmarks[list(points)] - [x, y], axis=1).min() < 16


def test_regions_of_the_lower_face_stay_below_the_brows_and_of_the_brows_above_the_mouth(neutral):
    brows, mouth = neutral.landmarks[17:27, 1].min(), neutral.landmarks[48:68, 1].min()
    rows = np.arange(neutral.image.shape[0])
    for au in supported_aus():
        moved = rows[(neutral.region(au) > 0.25).any(axis=1)]
        if 10 <= au <= 28:
            assert moved.min() > brows, f"AU {au} reaches the forehead"
        elif au in (1, 2, 4, 5, 7, 43):
            assert moved.max() < mouth, f"AU {au} reaches the mouth"


def test_a_one_sided_region_lies_on_its_side(neutral):
    middle = int(neutral.landmarks[30, 0])
    left, right = neutral.region("12L"), neutral.region("12R")
    assert left[:, : middle - 8].max() < 0.05 and left[:, middle:].max() > 0.8
    assert right[:, middle + 8 :].max() < 0.05 and right[:, :middle].max() > 0.8


@pytest.mark.parametrize("code", [3, "3", "12X", "", "L", "AU12", -1, 1.5, None])
def test_an_unknown_unit_is_named_in_the_error(person, shot, code):
    with pytest.raises(FerError, match="cannot be rendered"):
        render(person, {code: 1.0}, shot, size=32)


def test_people_and_their_wrinkles_differ(person):
    other = Person(8)
    assert np.linalg.norm(person.vertices - other.vertices, axis=1).max() > 0.1
    for name in paint.shared_wrinkles():
        assert not np.allclose(person.wrinkle(name), other.wrinkle(name), atol=0.05)


def test_light_and_pose_belong_to_the_shot_not_to_the_person(shot):
    other = Shot.draw(np.random.default_rng(4))
    assert other.pose != shot.pose and not np.allclose(other.light, shot.light)
    again = shot.jitter(np.random.default_rng(5))
    assert again.seed != shot.seed and np.array_equal(again.light, shot.light)
    assert 0 < abs(np.array(again.pose) - shot.pose).max() < 3


def test_refinement_of_a_cube_is_catmull_and_clarks():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    matrix, fine, means = catmull_clark(quads, 8)
    assert np.array_equal((means @ corners)[:8], corners)
    assert np.allclose((means @ corners)[20:], (matrix @ corners)[20:])
    assert fine.shape == (24, 4) and np.allclose(matrix.sum(1), 1)
    refined = matrix @ corners
    # Hand-computed: corners at 5/9, edge points at 3/4 of their two ends, face points at the faces' centres.
    assert np.allclose(abs(refined[:8]), 5 / 9)
    assert np.allclose(np.sort(abs(refined[8:20]), axis=1), [0, 0.75, 0.75])
    assert np.allclose(np.sort(abs(refined[20:]), axis=1), [0, 0, 1])


def test_normals_of_the_template_point_outwards():
    shared = head()
    normals = shared.normals(shared.template.astype(np.float32))
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    nose = shared.template[:, 2].argmax()
    assert normals[nose, 2] > 0.7
    assert set(np.unique(shared.kind)) == set(range(SKIN, HAIR + 1))


def test_paint_is_looked_up_where_it_lies():
    x, y = paint.grid()
    points = np.array([[0.1, 7.0, 1.0], [-0.5, 7.7, 1.0], [0.0, 6.3, 0.0]])
    layers = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
    assert np.allclose(paint.places(points) @ layers, points[:, :2], atol=1e-4)


def test_eyes_lie_as_far_apart_as_peoples_do():
    apart = []
    for number in range(1, 13):
        vertices = Person.of_set(0, number, 0).vertices
        left, right = (vertices[ids] for ids in head().eyes)
        apart.append(left[:, 0].mean() - right[:, 0].mean())
        mirrored = np.sort(right[:, 0] * -1) - np.sort(left[:, 0])
        assert abs(mirrored).max() < 0.1 and left[:, 0].min() > 0 > right[:, 0].max()
    assert 0.5 < min(apart) < max(apart) < 0.69, apart


@pytest.mark.parametrize(
    ("points", "axis", "least", "most", "spread"),
    [
        ((27, 8), 1, 0.66, 0.98, 0.09),  # root of the nose to chin
        ((4, 12), 0, 0.70, 0.93, 0.07),  # jaw
        ((48, 54), 0, 0.27, 0.42, 0.09),  # mouth
        ((31, 35), 0, 0.12, 0.26, 0.16),  # nose
        ((36, 45), 0, 0.55, 0.68, 0.05),  # outer corners of the eyes
        ((19, 37), 1, 0.07, 0.22, 0.25),  # brow above the eye: hair and brows leave the eyes free
    ],
)
def test_faces_keep_to_human_proportions(points, axis, least, most, spread):
    """Shares of a face's width, and how far people differ in them relative to their mean."""
    shares = []
    for number in range(16):
        marks = Person.of_set(0, number, 5).neutral[head().landmarks]
        one, other = marks[list(points), axis]
        shares.append(abs(one - other) / (marks[16, 0] - marks[0, 0]))
    assert least < min(shares) < max(shares) < most, shares
    assert 0.01 < np.std(shares) / np.mean(shares) < spread, shares


def test_long_faces_have_long_noses():
    """Proportions go together as people's do."""
    lengths = []
    for number in range(60):
        marks = Person.of_set(0, number, 6).neutral[head().landmarks]
        lengths.append((marks[27, 1] - marks[8, 1], marks[27, 1] - marks[33, 1]))
    assert np.corrcoef(np.transpose(lengths))[0, 1] > 0.3


def test_people_are_as_old_as_asked_for():
    ages = [Person.of_set(0, number, 0).age for number in range(1, 9)]
    assert min(ages) >= 0 and max(ages) <= (50 - 25) / (90 - 25)
    older = [Person.of_set(0, number, 0, oldest=90).age for number in range(1, 9)]
    assert max(older) > max(ages) and np.allclose(np.divide(older, ages), 65 / 25)
    assert Person(3, oldest=25).age == 0


def test_nothing_of_the_mouth_shows_through_the_chin(straight):
    """Drawn-in chins come near the inside of the mouth, which is black."""
    for number in (15, 3, 8):
        frame = render(Person.of_set(0, number, 0), {15: 0.9, 17: 0.9}, straight)
        lip, chin = frame.landmarks[57], frame.landmarks[8]
        rows = slice(int(lip[1]) + 4, int(chin[1]) - 2)
        skin = frame.image[rows, int(lip[0]) - 12 : int(lip[0]) + 12]
        assert skin.min() > 0.3 * np.median(skin), number


def test_a_compressed_picture_is_the_same_but_for_the_compression(person, straight, neutral):
    frame = render(person, {}, replace(straight, quality=40))
    assert np.array_equal(frame.landmarks, neutral.landmarks)
    change = abs(frame.image.astype(float) - neutral.image)
    assert 0 < change.mean() < 6 and change.max() < 80


def test_softer_shadows_are_means_on_the_neck_alone():
    soften, template = head().soften, head().template
    assert np.allclose(soften.sum(1), 1, atol=1e-5) and soften.min() >= 0
    face = template[:, 1] > 6.4
    assert abs(soften - sp.identity(len(template)))[face].max() < 1e-6
    assert (soften.diagonal()[~face] < 0.9).any()


def test_skin_that_folds_below_an_eye_is_not_black(straight):
    """Raised cheeks of this person turn the skin below the eyes over."""
    frame = render(Person(5), {9: 1.0}, straight, size=256)
    left, top = frame.landmarks[36:48].min(0).astype(int)
    right, bottom = frame.landmarks[36:48].max(0).astype(int)
    below = frame.image[bottom + 1 : bottom + (bottom - top) + 6, left:right]
    assert np.quantile(below, 0.002) > 0.25 * np.median(below)


def test_light_spreads_as_means():
    spread = head().spread
    assert np.allclose(spread.sum(1), 1) and spread.min() >= 0
    constant = np.full(spread.shape[1], 3.0, np.float32)
    assert np.allclose(spread @ constant, 3)
    assert 0.5 < len(np.unique(spread.indices)) / len(constant) < 0.8, "dense places share their light"
