"""Which commands train encoders?"""
