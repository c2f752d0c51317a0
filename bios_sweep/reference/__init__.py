"""What can be configured: every key with type, default, unit, range, choices and a sentence.

Above the driver, because the checks of keys lie in the rooms that read them.
"""
