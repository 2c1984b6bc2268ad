"""The local Graph's mail: enough of it to plot, Outlook's paging and query rules."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest
import requests

from nbauth.demo.contents import ADA, GRACE
from nbauth.demo.mailbox import COUNT, messages_of
from nbauth.demo.servers import Demo


def mail(demo: Demo, graph: requests.Session, **query: str) -> requests.Response:
    params = {f"${name}": value for name, value in query.items()}
    return graph.get(f"{demo.graph_url}/me/messages", params=params, timeout=5)


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def sender(row: dict[str, Any]) -> str:
    return str(row["from"]["emailAddress"]["address"])


def test_a_mailbox_is_worth_a_plot() -> None:
    rows = messages_of(ADA)
    assert rows == messages_of(ADA) != messages_of(GRACE)
    assert len({row["id"] for row in rows}) == COUNT >= 300
    days = Counter(row["receivedDateTime"][:10] for row in rows)
    assert len(days) > 60 and max(days.values()) > 3 * min(days.values())
    often = Counter(map(sender, rows)).most_common(6)
    assert sum(count for _, count in often) > 0.5 * COUNT and often[0][1] > 2 * often[5][1]
    received = [datetime.fromisoformat(row["receivedDateTime"]) for row in rows]
    assert received == sorted(received, reverse=True)
    for name in ("isRead", "hasAttachments", "importance"):
        assert len({row[name] for row in rows}) > 1
    assert any(row["categories"] for row in rows)


def test_pages_follow_skip(demo: Demo, graph: requests.Session) -> None:
    first = mail(demo, graph, select="subject", count="true").json()
    assert len(first["value"]) == 10 and first["@odata.count"] >= COUNT
    assert set(first["value"][0]) == {"@odata.etag", "id", "subject"}
    link = first["@odata.nextLink"]
    assert "$skip=10" in link and "$skiptoken" not in link
    whole = mail(demo, graph, top="1000", select="subject").json()
    assert "@odata.nextLink" not in whole
    assert whole["value"][10:20] == graph.get(link).json()["value"]
    assert error(mail(demo, graph, top="1001"))[0] == 400


def test_filter_and_order(demo: Demo, graph: requests.Session) -> None:
    all_rows = mail(demo, graph, top="1000").json()["value"]
    often = Counter(map(sender, all_rows)).most_common(1)[0]
    found = mail(demo, graph, filter=f"from/emailAddress/address eq '{often[0]}'", top="1000")
    assert len(found.json()["value"]) == often[1]
    since = mail(
        demo,
        graph,
        filter="receivedDateTime ge 2025-03-01T00:00:00Z and isRead eq false",
        orderby="receivedDateTime",
        top="1000",
    ).json()["value"]
    assert since and all(not row["isRead"] for row in since)
    assert "2025-03" <= since[0]["receivedDateTime"] < since[-1]["receivedDateTime"]
    refused = mail(demo, graph, filter="isRead eq false", orderby="receivedDateTime")
    assert error(refused) == (400, "InefficientFilter")
    contains = mail(demo, graph, filter="contains(subject,'offline')").json()["value"]
    assert contains and all("offline" in row["subject"] for row in contains)


def test_search_stands_alone(demo: Demo, graph: requests.Session) -> None:
    first = mail(demo, graph, search='"offline"').json()
    assert "offline" in first["value"][0]["subject"]
    assert "$skiptoken" in first["@odata.nextLink"]
    assert graph.get(first["@odata.nextLink"]).json()["value"]
    refused = mail(demo, graph, search='"offline"', filter="isRead eq true")
    assert error(refused) == (400, "SearchWithFilter")
    refused = mail(demo, graph, search='"offline"', orderby="receivedDateTime")
    assert error(refused) == (400, "SearchWithOrderBy")


def test_one_message(demo: Demo, writer: requests.Session) -> None:
    row = mail(demo, writer, top="1").json()["value"][0]
    address = f"{demo.graph_url}/me/messages/{row['id']}"
    assert writer.get(f"{address}?$select=isRead").json()["isRead"] is row["isRead"]
    changed = writer.patch(address, json={"isRead": not row["isRead"]})
    assert changed.json()["isRead"] is not row["isRead"]
    writer.patch(address, json={"isRead": row["isRead"]})
    assert error(writer.patch(address, json={"from": {}})) == (400, "ErrorInvalidPropertySet")
    missing = writer.get(f"{demo.graph_url}/me/messages/nothing")
    assert error(missing) == (404, "ErrorItemNotFound")


def test_sent_mail_arrives(demo: Demo, writer: requests.Session) -> None:
    def send(**message: Any) -> requests.Response:
        return writer.post(f"{demo.graph_url}/me/sendMail", json={"message": message}, timeout=5)

    to = [{"emailAddress": {"address": demo.user.upper()}}]
    body = {"contentType": "Text", "content": "Grüße"}
    sent = send(subject="To myself", body=body, toRecipients=to)
    assert sent.status_code == 202 and sent.content == b""
    row = mail(demo, writer, top="1").json()["value"][0]
    assert (row["subject"], row["bodyPreview"], row["isRead"]) == ("To myself", "Grüße", False)
    assert sender(row) == demo.user
    assert error(send(subject="To nobody")) == (400, "ErrorInvalidRecipients")
    assert error(send(toRecipients=["x"])) == (400, "ErrorInvalidRecipients")
    empty = writer.post(f"{demo.graph_url}/me/sendMail", json={})
    assert error(empty) == (400, "ErrorInvalidRequest")


@pytest.mark.parametrize("path", ["me/sendMail", "me/drive/root:/a.txt:/createUploadSession"])
def test_reading_scopes_send_nothing(demo: Demo, graph: requests.Session, path: str) -> None:
    refused = graph.post(f"{demo.graph_url}/{path}", json={})
    assert error(refused)[0] == 403 and "Mail." not in refused.text and "Files." not in refused.text
