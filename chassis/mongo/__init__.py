"""MongoDB: connecting, translating its errors, the database's clock, and pages of a list.

A store is a class with verbs of its domain. Decorate it with `retry_and_translate`, and make every method safe to run
twice (its own `_id`, a compare-and-set, a recorded request): a call whose connection broke is run once more.
"""

from chassis.mongo import lean_imports as lean_imports
from chassis.mongo.client import ASCENDING as ASCENDING
from chassis.mongo.client import DESCENDING as DESCENDING
from chassis.mongo.client import DUPLICATE_KEY as DUPLICATE_KEY
from chassis.mongo.client import Document as Document
from chassis.mongo.client import Write as Write
from chassis.mongo.client import bulk_write as bulk_write
from chassis.mongo.client import connect as connect
from chassis.mongo.client import has_database_and_credentials as has_database_and_credentials
from chassis.mongo.client import missing_feature as missing_feature
from chassis.mongo.clock import DatabaseClock as DatabaseClock
from chassis.mongo.outages import is_outage as is_outage
from chassis.mongo.outages import retry_and_translate as retry_and_translate
from chassis.mongo.pages import find_page as find_page
