def pytest_configure(config):
    config.addinivalue_line("markers", "slow: starts a whole Airflow; runs last")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
