"""The Celery application: its settings, each with its reason.

They were tried with celery 5.6.3 and kombu 5.6.2 (November 2026), by stopping, freezing and killing workers, pool
children and brokers. The broker only carries hints; whatever it loses, the next tick finds in the database.
"""

from __future__ import annotations

import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from kombu import Queue

from config.settings import Settings
from worker.beat import SCHEDULER, beat_schedule

QUEUE: Final = "rotations"
HARD_LIMIT_S: Final = 270
SOFT_LIMIT_S: Final = 240
VISIBILITY_S: Final = 900
_CONNECTIONS_BESIDE_TASKS: Final = 16


def make_app(settings: Settings) -> Celery:
    """A Celery application that sends to, or works for, the broker of ``settings``; the current one from now on."""
    app = Celery("rotator", include=["tasks.jobs"])
    app.conf.update(
        **_broker(settings), **_messages(), **_tasks(), **_pool(settings), **_observation(), **_beat(settings)
    )
    app.set_default()
    return app


def _broker(settings: Settings) -> dict[str, Any]:
    url = settings.broker().reveal()
    return {
        "broker_url": url,
        # rediss:// without this would not check the broker's certificate, and Flower would not start.
        "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED} if urlsplit(url).scheme == "rediss" else False,
        # Wait for a broker that is not up yet, for ever: whoever supervises us decides when that is too long.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            # Longer than the hard limit, or a task still running would be given to a second worker. The shortest
            # value of all clients of a broker wins, so every process gets it from here.
            "visibility_timeout": VISIBILITY_S,
            # Without these, publishing to a frozen broker hung for more than a minute; now it gives up after 15 s.
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            # Drops a connection that died silently.
            "health_check_interval": 25,
            # kombu's 10 are too few: late acknowledgements then failed and were dropped.
            "max_connections": 2 * settings.worker_concurrency + _CONNECTIONS_BESIDE_TASKS,
        },
    }


def _messages() -> dict[str, Any]:
    return {
        # JSON only: unpickling a message is running it.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # One declared queue. A typing mistake in a queue's name is an error, not a queue that nobody reads.
        "task_queues": [Queue(QUEUE)],
        "task_default_queue": QUEUE,
        "task_create_missing_queues": False,
        # One more try, at once: a person who asks should not wait for a broker that is away.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    }


def _tasks() -> dict[str, Any]:
    return {
        # Acknowledge after the work: with early acknowledgement, kill -9 of a worker lost its task.
        "task_acks_late": True,
        # A killed pool child's task is redelivered at once; without this it was acknowledged and lost.
        "task_reject_on_worker_lost": True,
        # A task that failed or ran too long is done: what is left to do is in the row, with its own next attempt.
        # Kept in the queue instead, it ran again every other second, for ever.
        "task_acks_on_failure_or_timeout": True,
        # A client library that hangs must not hold a child for ever. HTTP timeout < lease < soft < hard < visibility.
        "task_soft_time_limit": SOFT_LIMIT_S,
        "task_time_limit": HARD_LIMIT_S,
        # The answer is in the database, where `rotator rotate --wait` looks too. Flower shows states from events.
        "task_ignore_result": True,
        "result_backend": None,
        "task_store_errors_even_if_ignored": False,
    }


def _pool(settings: Settings) -> dict[str, Any]:
    return {
        # Processes: they can be killed when they hang, which threads cannot. gevent never got redeliveries from Redis.
        "worker_pool": "prefork",
        "worker_concurrency": settings.worker_concurrency,
        # A killed worker strands only what it was running.
        "worker_prefetch_multiplier": 1,
        # Opening the database and the HTTP client takes longer than the default 4 s on a loaded machine.
        "worker_proc_alive_timeout": 30,
        # Bounds what a leak, ours or a library's, can grow to (400 MB).
        "worker_max_tasks_per_child": 500,
        "worker_max_memory_per_child": 400_000,
        # A broker that blinks must not kill running tasks: their work goes on under the database's lease.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # SIGTERM waits for running tasks. SIGQUIT (and SIGTERM under REMAP_SIGTERM=SIGQUIT) waits this long at most.
        "worker_soft_shutdown_timeout": settings.shutdown_s.total_seconds(),
    }


def _observation() -> dict[str, Any]:
    return {
        # Flower lives on events; they cost about a quarter of the throughput of empty tasks, far above our need.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        # Our logging is set up before Celery's; see config.logging.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _beat(settings: Settings) -> dict[str, Any]:
    return {
        "enable_utc": True,
        # No daylight saving in beat: rotations compute their own local times.
        "timezone": "UTC",
        "beat_scheduler": SCHEDULER,
        "beat_schedule": beat_schedule(settings.tick_s),
    }
