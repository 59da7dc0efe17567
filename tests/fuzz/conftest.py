"""Says how much memory the hungriest example took."""

import pytest
from fuzzing import most


@pytest.fixture(autouse=True, scope="module")
def _peak(request):
    most["megabytes"] = 0.0
    yield
    print(f"\n{request.node.name}: at most {most['megabytes']:.1f} MB above what there was before")
