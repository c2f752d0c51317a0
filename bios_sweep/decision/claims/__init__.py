"""How each claim of a default is judged, told and planted: one file per claim, found by its name. Pure.

A learning rate claims to be an optimum; a batch size to be the balance of loss and time, to give the best
loss, or to save time; a rank and a number of steps to be enough, or the least that will do. One screening
answers all claims of a factor (docs/statistics.md, items 6 and 13). Every confirmation is an intersection of
tests, so alpha is not divided; whatever would change a default is a candidate with a test for fresh seeds.
"""
