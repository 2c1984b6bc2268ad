from tests.kernel.asking.conftest import clock as clock
from tests.kernel.asking.conftest import notebook as notebook
from tests.kernel.asking.conftest import worker as worker
