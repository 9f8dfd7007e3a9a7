"""Points that select faces."""

from restore.faces.points import FacePoints

BOXES = [(10.0, 20.0, 30.0, 40.0), (25.0, 20.0, 60.0, 40.0)]


def test_points_on_the_edge_of_a_box_and_in_two_boxes_count() -> None:
    points = FacePoints(((10, 40), (27, 30), (9.9, 30)), 100, 50)
    contained = points.contained(BOXES, 100, 50)
    assert contained.tolist() == [[True, True, False], [False, True, False]]


def test_points_follow_the_size_of_the_photo() -> None:
    points = FacePoints(((5, 15), (50, 15)), 50, 50)
    assert points.contained(BOXES, 150, 100).tolist() == [[True, False], [False, False]]
    assert points.contained(BOXES, 50, 100).tolist() == [[False, False], [False, True]]


def test_without_a_face_nothing_is_contained() -> None:
    assert FacePoints(((1, 1), (2, 2)), 9, 9).contained([], 9, 9).shape == (0, 2)


def test_points_outside_of_the_photo_are_named() -> None:
    points = FacePoints(((0, 0), (40, 30), (40.1, 0), (0, 31), (-1, 5)), 40, 30)
    assert points.outside() == ((40.1, 0), (0, 31), (-1, 5))
