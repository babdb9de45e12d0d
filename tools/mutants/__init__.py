"""Small faults are planted in the library, one at a time: do the tests notice?"""
