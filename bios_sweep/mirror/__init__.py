"""What trackers hold of a sweep: brought over from the journal, never the truth. One folder per tracker."""
