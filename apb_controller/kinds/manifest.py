"""What surrounds a schema: names, columns, labels and the status sub-resource of one CustomResourceDefinition."""

from dataclasses import dataclass, field
from typing import Any

from apb_controller.kinds import schema

Manifest = dict[str, Any]
# `*.k8s.io` is a protected group: without this annotation the API server refuses the definition, and "unapproved" is the truth.
APPROVAL = {"api-approved.kubernetes.io": "unapproved"}
LABELS = {"svcat": "true"}
CATEGORIES = ["all", "svcat"]
LONGEST_NAME = 63
SHORT_ENOUGH = schema.rule(f"self.metadata.name.size() <= {LONGEST_NAME}", f"metadata.name must be no more than {LONGEST_NAME} characters")


@dataclass(frozen=True)
class Kind:
    """One kind as it is described by its noun's file."""

    name: str
    plural: str
    short_names: list[str]
    is_namespaced: bool
    description: str
    spec: schema.Schema
    status: schema.Schema
    columns: dict[str, str]
    selectable: list[str]
    rules: list[schema.Rule] = field(default_factory=list)

    def manifest(self, group: str, version: str) -> Manifest:
        """The CustomResourceDefinition."""
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{group}", "annotations": dict(APPROVAL), "labels": dict(LABELS)},
            "spec": {
                "group": group,
                "scope": "Namespaced" if self.is_namespaced else "Cluster",
                "names": self._names(),
                "versions": [{"name": version, "served": True, "storage": True, **self._version()}],
            },
        }

    def _names(self) -> Manifest:
        return {
            "kind": self.name,
            "listKind": f"{self.name}List",
            "plural": self.plural,
            "singular": self.name.lower(),
            "shortNames": self.short_names,
            "categories": CATEGORIES,
        }

    def _version(self) -> Manifest:
        return {
            "subresources": {"status": {}},
            "additionalPrinterColumns": [
                *({"name": name, "type": "string", "jsonPath": path} for name, path in self.columns.items()),
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
            "selectableFields": [{"jsonPath": path} for path in self.selectable],
            "schema": {"openAPIV3Schema": self._schema()},
        }

    def _schema(self) -> schema.Schema:
        return {
            "description": self.description,
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": schema.text("The version of this representation of the object."),
                "kind": schema.text("The kind of object."),
                "metadata": {"type": "object"},
                "spec": self.spec,
                "status": self.status,
            },
            "x-kubernetes-validations": [SHORT_ENOUGH, *self.rules],
        }
