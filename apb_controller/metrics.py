"""What Prometheus is told. Names that begin with `servicecatalog_` are upstream's."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

BROKER_REQUESTS = Counter(
    "servicecatalog_osb_request_count", "Calls of brokers by their answers.", ["broker", "method", "status"], registry=REGISTRY
)
BROKER_SECONDS = Histogram("apb_controller_broker_call_seconds", "How long calls of a broker took.", ["broker", "call"], registry=REGISTRY)
CLASSES = Gauge("servicecatalog_broker_service_class_count", "Classes of a broker's catalog.", ["broker"], registry=REGISTRY)
PLANS = Gauge("servicecatalog_broker_service_plan_count", "Plans of a broker's catalog.", ["broker"], registry=REGISTRY)
API_REQUESTS = Counter("apb_controller_api_requests_total", "Requests to the API server.", ["verb", "kind", "status"], registry=REGISTRY)
LISTS = Counter("apb_controller_lists_total", "How often all objects of a kind were read.", ["kind"], registry=REGISTRY)
OBJECTS = Gauge("apb_controller_objects", "Objects that are known.", ["kind"], registry=REGISTRY)
LOOKS = Counter("apb_controller_looks_total", "Looks at objects, by how they ended.", ["kind", "end"], registry=REGISTRY)
LOOKING = Gauge("apb_controller_looks_running", "Looks that are going on.", registry=REGISTRY)
QUEUED = Gauge("apb_controller_queue_length", "Objects that wait to be looked at.", registry=REGISTRY)
CALLS_RUNNING = Gauge("apb_controller_broker_calls_running", "Calls of a broker that are going on.", ["broker"], registry=REGISTRY)
CALLS_WAITING = Gauge("apb_controller_broker_calls_waiting", "Objects that wait for their turn at a broker.", ["broker"], registry=REGISTRY)
EVENTS = Counter("apb_controller_events_total", "Events, by what became of them: written, limited, lost.", ["end"], registry=REGISTRY)
LEADING = Gauge("apb_controller_leading", "1 for the controller that works, 0 for those that wait.", registry=REGISTRY)
