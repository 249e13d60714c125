"""The saga of placing an order as an executable specification; `./dev model` searches all that can happen in it.

`rules` has what the design demands, `state` what there is, `saga` one function for each action, `invariants` what must
hold in every state, `search` the breadth-first search. docs/architecture.md tells the same in prose.
"""
