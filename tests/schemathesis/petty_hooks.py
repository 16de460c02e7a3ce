"""What schemathesis has to know of Petty: who calls, what is there to be called about, and what a JSON schema cannot say."""

import json
import os
import random
import re
import time
import urllib.error
import urllib.request

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.specs.openapi.checks import RejectedPositiveData

URL = os.environ["PETTY_URL"].rstrip("/")
PASSWORD = "correct horse battery staple"


def call(method, path, body=None, token=None):
    request = urllib.request.Request(URL + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class World:
    """An account with a pet, a collar and a little of everything, so that not every answer is 404."""

    def __init__(self):
        self.email = f"schemathesis-{random.SystemRandom().randrange(10**12)}@example.com"
        tokens = call("POST", "/v1/auth/signup", {"email": self.email, "password": PASSWORD})
        token = tokens["access_token"]
        pet = call("POST", "/v1/pets", {"name": "Rex", "species": "DOG", "birth_date": "2022-05-04"}, token)
        collar = f"ST-{random.SystemRandom().randrange(10**9)}"
        call("POST", f"/v1/pets/{pet['pet_id']}/collars", {"collar_id": collar}, token)
        food = call("POST", "/v1/foods", {"name": "Chicken", "kind": "DRY", "label_kcal_per_100g": 372}, token)
        zone = {"name": "Home", "circle": {"center": {"latitude": 52.5, "longitude": 13.4}, "radius_m": 100}}
        zone = call("POST", f"/v1/pets/{pet['pet_id']}/safe-zones", zone, token)
        self.known = {
            "pet_id": pet["pet_id"],
            "collar_id": collar,
            "food_id": food["food_id"],
            "zone_id": zone["zone_id"],
        }

    def log_in(self):
        """With patience: others who fail to from this address hold it up."""
        while True:
            try:
                return call("POST", "/v1/auth/login", {"email": self.email, "password": PASSWORD})["access_token"]
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(int(error.headers["retry-after"]))


WORLD = World()
# What would leave nothing for the others to be tried on.
ENDS = {"deletePet", "unpairCollar", "deleteFood", "deleteSafeZone"}


@schemathesis.auth(refresh_interval=300).skip_for(path="/v1/auth/logout")
class Token:
    def get(self, case, context):
        return WORLD.log_in()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth(refresh_interval=None).apply_to(path="/v1/auth/logout")
class Ended(Token):
    """Each call ends the session of its token, so each has one of its own."""


# What a JSON schema cannot say: each the reason of a refusal, and why no schema would have told.
NOT_IN_A_SCHEMA = {
    r"must be next_page_token of the page before": "tokens are the server's own",
    r"in the future|\d+h back|days? back|years? back|ahead of the server|years ahead|days ahead": "bounds that move with the clock",
    r"must be a day that has begun": "so does this",
    r"must be at most 366 days": "and this",
    r"before end_time|after end_time": "one field's bound is another's value",
    r"must be absent where|must be there with the other|is required where|must be WORKING or absent": "the same",
    r"must be after|after the pairing": "the same",
    r"must be an IANA time zone": "a list that grows without us",
    r"must be the name of a behaviour|must be Deep Sleep, Resting": "names in any case and spelling",
    r"must hold no control characters|a letter among them": "letters of all scripts",
    r"among the first that anybody would try|must be harder to guess": "a judgement",
    r"two that follow each other are the same|100 km apart|cross": "geometry",
    r"must never be fed": "a list of poisons",
    r"with the other parts makes": "a sum",
    r"a neutered pet cannot carry young": "what is known of the pet already",
    r"must not hold the character U\+0000": "PostgreSQL stores no such text",
    r"must be an e-mail address": "what a mailer takes, not all that RFC 5321 has",
    r"must be scopes separated by spaces|no more than your own token": "a list in a string",
    r"at least one of heart_rate": "one of many",
    r"longitude, the first|latitude, the second": "two elements of one list, each with bounds of its own",
    r"must be the id of an update": "ids are the server's own",
    r"must be six digits": "or a recovery code; spaces are allowed in both",
}


def is_blank(body, field):
    value = body.get(field) if isinstance(body, dict) else None
    return isinstance(value, str) and not value.strip()


def no_schema_says(problem, body):
    """Whether a refusal is for reasons alone that no schema could have told, or because of what was sent before."""
    if problem.get("code") in ("IDEMPOTENCY_KEY_REUSED", "REQUEST_ID_REUSED"):
        return True
    errors = problem.get("errors", [])
    return bool(errors) and all(
        any(re.search(reason, error["reason"]) for reason in NOT_IN_A_SCHEMA)
        # Text that is nothing but space is none.
        or (error["reason"] == "is required" and is_blank(body, error["field"]))
        # One without the other.
        or (error["reason"] == "is required" and error["field"] in ("quiet_start", "quiet_end"))
        for error in errors
    )


def _with_known(context, values):
    name = context.operation.definition.raw.get("operationId")
    if not values or name in ENDS or random.random() < 0.3:
        return values
    return {key: WORLD.known.get(key, value) for key, value in values.items()}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Mostly ids that exist."""
    return _with_known(context, path_parameters)


@schemathesis.serializer("application/x-ndjson", "application/ndjson")
def lines(context, value):
    """Lines are sent as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value).encode()


def _camel(name):
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


class Reader:
    """Reads a body as proto3 JSON does: either spelling of a name, numbers in strings, enum values by number, null as absent."""

    def __init__(self, document):
        self.document = document

    def resolve(self, schema):
        while "$ref" in schema:
            found = self.document
            for part in schema["$ref"].lstrip("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**found, **rest}
        return schema

    def read(self, value, schema):
        schema = self.resolve(schema)
        kind = schema.get("type")
        if kind == "object" and isinstance(value, dict):
            names = {}
            for name in schema.get("properties", {}):
                names[name] = names[_camel(name)] = name
            read = {}
            for name, member in value.items():
                known = names.get(name)
                if known is None:
                    if "additionalProperties" in schema or member is not None:
                        read[name] = member
                elif member is not None:
                    read[known] = self.read(member, schema["properties"][known])
            return read
        if kind == "array" and isinstance(value, list):
            return [self.read(element, schema.get("items", {})) for element in value]
        if kind in ("integer", "number") and isinstance(value, str):
            try:
                return int(value) if kind == "integer" else float(value)
            except ValueError:
                return value
        if "enum" in schema and isinstance(value, int) and not isinstance(value, bool):
            values = schema["enum"]
            return values[value] if 0 <= value < len(values) else value
        return value

    def fits(self, value, schema):
        read = self.read(value, schema)
        whole = {"components": self.document["components"], "allOf": [schema]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(read)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is right though no JSON schema says so."""
    if isinstance(failure, RejectedPositiveData):
        return not (response.status_code in (400, 422) and no_schema_says(response.json(), case.body))
    if isinstance(failure, AcceptedNegativeData):
        name = case.operation.definition.raw["operationId"]
        if name == "streamTimeline" and "Last-Event-ID" in (case.headers or {}):
            # The header wins over the parameter.
            return False
        if name == "ingestReadings" and response.json().get("rejected"):
            # Each reading stands alone: a bad one is refused in the answer.
            return False
        content = case.operation.definition.raw.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is not None and isinstance(case.body, dict):
            reader = Reader(case.operation.schema.raw_schema)
            return not reader.fits(case.body, schema)
    return True
