"""The process `apb controller`: waits until it leads, works, hands over. What it works on is the reconcilers' matter."""
