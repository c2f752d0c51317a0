"""What a run would find here, looked at before the first one; nothing is changed.

Above the driver, because it looks at what the driver would choose: workspace, tracker, cluster, device.
"""
