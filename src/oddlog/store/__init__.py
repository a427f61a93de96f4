"""What the service keeps: incidents, what people asked of it, what went by, and where it was when it last looked.

SQLite in WAL mode, or PostgreSQL by its URL, through SQLAlchemy Core: the same code. What belongs together is one
transaction: a checkpoint is never newer or older than the incidents that were found up to it. Needs the extra
``service``.

::

    tables        what there is
    migrations    how an older database becomes one of today
    place         whether the file is still there
    engine        opening, writing, what differs between the two databases
    incidents     what is odd, page by page          letters    what sinks are to be told
    passed        lines, scores, types and sources by minute and day
    challenged    what a second model finds that judges beside
    kept          `Store`: all of these, and checkpoints
"""

from oddlog.store.challenged import Beside, Both
from oddlog.store.engine import StoreUnavailableError
from oddlog.store.incidents import Asked, Page, Stored
from oddlog.store.kept import Store
from oddlog.store.letters import KEPT_S, Letter

__all__ = ["KEPT_S", "Asked", "Beside", "Both", "Letter", "Page", "Store", "StoreUnavailableError", "Stored"]
