"""What holds for all tests."""


def pytest_collection_modifyitems(items):
    """Put those that start a whole Airflow last: the quick ones fail first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
